package main

import (
	"encoding/json"
	"errors"
	"slices"

	apiclient "firescan/api/client"
)

// The codes of errors that are not of the API, in JSON.
const (
	codeUsage  = "USAGE_ERROR"
	codeFailed = "COMMAND_FAILED"
)

// A jsonError is what --json prints of an error, in one line.
type jsonError struct {
	Code      string          `json:"code"`
	Message   string          `json:"message"`
	RequestID string          `json:"requestId,omitempty"`
	Details   json.RawMessage `json:"details,omitempty"`
}

// printJSONError prints an error with the message that it has as text.
func (a *app) printJSONError(err error, message string) {
	e := jsonError{Code: codeFailed, Message: message}
	if _, usage := errors.AsType[usageError](err); usage {
		e.Code = codeUsage
	}
	if refused, ok := errors.AsType[*apiclient.Error](err); ok {
		e.Code, e.RequestID, e.Details = string(refused.Code), refused.RequestID, refused.Details
	}
	enc := json.NewEncoder(a.err)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(e) // nothing is left to report it to
}

// wantsJSON reports whether errors are to be JSON: also one that ends the parsing of flags
// before --json.
func (a *app) wantsJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return a.json || slices.Contains(args, "--json")
}
