package main

import (
	"maps"
	"slices"
	"strings"
)

// An apiError is an error response of the API.
type apiError struct {
	Status  int
	Code    string
	Message string
	Details struct {
		Fields map[string]string
		Reason string
	}
}

func (e *apiError) Error() string {
	parts := make([]string, 0, len(e.Details.Fields)+1)
	for _, name := range slices.Sorted(maps.Keys(e.Details.Fields)) {
		parts = append(parts, name+" "+e.Details.Fields[name])
	}
	if e.Details.Reason != "" {
		parts = append(parts, e.Details.Reason)
	}
	text := e.Message
	if len(e.Details.Fields) > 0 {
		text, _, _ = strings.Cut(text, ":") // it names the first field; all follow
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, "; ")
	}
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	if next := nextStep[e.Code]; next != "" {
		text += "; " + next
	}
	return text
}

// unauthorized reports whether the token is the cause.
func (e *apiError) unauthorized() bool {
	return e.Code == "UNAUTHORIZED" || e.Code == "PERMISSION_DENIED"
}

// nextStep maps codes of errors to what to do about them.
var nextStep = map[string]string{
	"UNAUTHORIZED":        "set FIRESCAN_TOKEN to a token of `firescan token create --org ORG --role ROLE`",
	"STORAGE_NOT_FOUND":   "`firescan destination list` shows all destinations",
	"INVALID_CREDENTIALS": "check the access key, its secret and the region; `firescan destination update` changes them",
	"INDEX_UNAVAILABLE":   "`firescan sync --watch` lists the bucket again",
}
