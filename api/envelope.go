package api

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// envelope is the form of every JSON response.
type envelope struct {
	Success bool       `json:"success"`
	Data    any        `json:"data,omitempty"`
	Message string     `json:"message,omitempty"`
	Meta    any        `json:"meta,omitempty"`
	Error   *errorBody `json:"error,omitempty"`
}

type errorBody struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Details any    `json:"details,omitempty"`
}

// respond sends a successful envelope.
func (c *call) respond(e envelope) error { return c.respondStatus(http.StatusOK, e) }

func (c *call) respondStatus(status int, e envelope) error {
	e.Success = true
	return c.write(status, &e)
}

// write sends an envelope in one piece, encoded before the first byte is sent, so that
// a failed encoding can still become an error.
func (c *call) write(status int, e *envelope) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return err
	}
	c.sendJSON(status, buf.Bytes())
	return nil
}

// sendJSON sends a whole JSON document. It ignores write errors: the client has gone.
func (c *call) sendJSON(status int, body []byte) {
	if c.hold(status, body) {
		return
	}
	h := c.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.WriteHeader(status)
	_, _ = c.Write(body)
}

// send sends a part of a JSON document.
func (c *call) send(part []byte) error {
	if c.status == 0 {
		c.Header().Set("Content-Type", "application/json; charset=utf-8")
		c.WriteHeader(http.StatusOK)
	}
	c.extendWriteDeadline()
	if _, err := c.Write(part); err != nil {
		return clientGone(err)
	}
	return nil
}

// fail sends an error.
func (c *call) fail(e *Error) {
	c.Header().Del("Content-Disposition") // it was for the file
	switch e.Code {
	case CodeUnauthorized:
		c.Header().Set("WWW-Authenticate", `Bearer realm="firescan"`)
	case CodeNoLeader:
		c.Header().Set("Retry-After", retryAfterNoLeader)
	case CodeIndexUnavailable:
		c.Header().Set("Retry-After", retryAfterUnavailable)
	}
	body := errorBody{Code: e.Code, Message: e.Message, Details: e.Details}
	_ = c.write(e.Code.Status(), &envelope{Error: &body})
}

// stamp is a time in responses: RFC 3339 in UTC, or null for 0.
type stamp int64

// MarshalJSON writes Unix milliseconds as RFC 3339.
func (s stamp) MarshalJSON() ([]byte, error) {
	if s == 0 {
		return []byte("null"), nil
	}
	return appendTime(make([]byte, 0, 26), int64(s)), nil
}

// noTime is the result of decoding an invalid time; the checks of the fields report it.
const noTime stamp = math.MinInt64

// UnmarshalJSON reads null or RFC 3339, with a year that can be written in UTC.
func (s *stamp) UnmarshalJSON(data []byte) error {
	var text *string
	if err := json.Unmarshal(data, &text); err != nil || text == nil {
		*s = 0
		return err
	}
	*s = noTime
	if t, err := time.Parse(time.RFC3339Nano, *text); err == nil && t.UTC().Year() >= 0 && t.UTC().Year() <= 9999 {
		*s = stamp(t.UnixMilli())
	}
	return nil
}

// appendTime appends Unix milliseconds as a quoted RFC 3339 time in UTC, with a
// fraction only if it is not zero.
func appendTime(dst []byte, ms int64) []byte {
	dst = append(dst, '"')
	dst = time.UnixMilli(ms).UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

// size formats a number of bytes as a string, as most of the specification has it.
func size(n uint64) string { return strconv.FormatUint(n, 10) }
