package client

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxError limits how much of a response that reports an error is read.
const maxError = 1 << 20

// An Error is a response of the API that reports an error.
type Error struct {
	// Status is the HTTP status.
	Status  int
	Code    Code
	Message string
	// Details are the details as JSON, nil if there are none.
	Details json.RawMessage
	// RequestID names the request in the logs of the nodes.
	RequestID string
	// RetryAfter is how long to wait before the request is sent again, 0 if the node did
	// not say.
	RetryAfter time.Duration
}

// Error returns the message with the details that are text, and the code.
func (e *Error) Error() string {
	var details struct {
		Fields map[string]string
		Reason string
	}
	_ = json.Unmarshal(e.Details, &details) // others are ignored
	text := e.Message
	if len(details.Fields) > 0 {
		text, _, _ = strings.Cut(text, ":") // it names the first field; all follow
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(details.Fields)) {
		parts = append(parts, name+" "+details.Fields[name])
	}
	if details.Reason != "" {
		parts = append(parts, details.Reason)
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, "; ")
	}
	if e.Code != "" {
		text += " (" + string(e.Code) + ")"
	}
	return text
}

// CheckResponse returns nil for a success. For any other response it returns the error that
// it reports, an *Error if the response is from a node, and closes it.
func CheckResponse(resp *http.Response) error {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxError))
	var envelope struct {
		Error struct {
			Code    Code
			Message string
			Details json.RawMessage
		}
	}
	_ = json.Unmarshal(raw, &envelope)
	e := envelope.Error
	if e.Message == "" {
		return fmt.Errorf("%s %s: %s, not from a firescan node: check the address", resp.Request.Method, resp.Request.URL.Redacted(), resp.Status)
	}
	wait, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // 0 if absent
	return &Error{
		Status: resp.StatusCode, Code: e.Code, Message: e.Message, Details: e.Details,
		RequestID: resp.Header.Get("X-Request-Id"), RetryAfter: time.Duration(wait) * time.Second,
	}
}
