package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
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
	case CodeRateLimited:
		c.Header().Set("Retry-After", retryAfterSeconds(e.retryAfter))
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

// appendTime appends Unix milliseconds as a quoted RFC 3339 time in UTC. It always has three
// digits of milliseconds, so that times have one length and sort as text.
func appendTime(dst []byte, ms int64) []byte {
	t := time.UnixMilli(ms).UTC()
	dst = append(dst, '"')
	dst = t.AppendFormat(dst, time.RFC3339) // three times as fast as other layouts
	rest := t.Nanosecond() / int(time.Millisecond)
	return append(dst[:len(dst)-len("Z")], '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10), 'Z', '"')
}

// size formats a number of bytes as a string, as most of the specification has it.
func size(n uint64) string { return strconv.FormatUint(n, 10) }

// hold keeps a response back until it is stored. It returns false for responses to send
// at once: failures, which a retry may get past, requests without a key, and responses
// that are too long or show a secret.
func (c *call) hold(status int, body []byte) bool {
	if c.once == nil || c.once.private || status >= http.StatusMultipleChoices || len(body) > maxRemembered {
		return false
	}
	c.once.status, c.once.body = status, body
	return true
}

// refuse sends an error. When the response has begun, it cuts the connection instead,
// so that the response does not look complete.
func (c *call) refuse(e *Error) {
	level := slog.LevelDebug
	switch status := e.Code.Status(); {
	case c.route.access == Public && status == http.StatusServiceUnavailable:
		// A probe repeats until the node is ready.
	case status == http.StatusServiceUnavailable, status == http.StatusBadGateway:
		level = slog.LevelWarn // passes by itself, or is a provider's, which has metrics
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	c.code = e.Code
	c.log.Log(context.Background(), level, "the request failed", "code", e.Code, "error", e)
	if c.status != 0 {
		c.status = e.Code.Status() // for the metrics: it began well and failed
		panic(http.ErrAbortHandler)
	}
	c.fail(e)
}

// failure is why one of several items failed.
type failure struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	// Details are those of an error that the same failure is alone: the provider's reason.
	Details any `json:"details,omitempty"`
}

// failed returns the failure for an error, and logs internal errors.
func (c *call) failed(err error) *failure {
	if err == nil {
		return nil
	}
	e := toError(c.context(), err)
	if e.Code == CodeInternal {
		c.log.Error("an item of the request failed", "error", e)
	}
	return &failure{e.Code, e.Message, e.Details}
}

// maxRemembered is the maximum size of a stored response, in bytes.
const maxRemembered = 64 << 10
