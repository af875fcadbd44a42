package api

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// envelope is the form of every JSON answer.
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

// answer writes a successful envelope.
func (c *call) answer(e envelope) error { return c.answerStatus(http.StatusOK, e) }

func (c *call) answerStatus(status int, e envelope) error {
	e.Success = true
	return c.write(status, &e)
}

// write sends an envelope in one piece, encoded whole before the first byte leaves,
// so that a failure to encode can still be answered.
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

// sendJSON sends a whole JSON document. That the client has gone meanwhile is no
// failure of ours, so the write's error is dropped.
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
	c.hurry()
	if _, err := c.Write(part); err != nil {
		return clientGone(err)
	}
	return nil
}

// fail answers an error.
func (c *call) fail(e *Error) {
	c.Header().Del("Content-Disposition") // of the file that it would have been
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

// stamp is a time in answers: RFC 3339 in UTC, null when there is none.
type stamp int64

// MarshalJSON writes Unix milliseconds as RFC 3339.
func (s stamp) MarshalJSON() ([]byte, error) {
	if s == 0 {
		return []byte("null"), nil
	}
	return appendTime(make([]byte, 0, 26), int64(s)), nil
}

// noTime is what a text that is no time is decoded to; whoever checks the fields says so.
const noTime stamp = math.MinInt64

// UnmarshalJSON reads RFC 3339, in years that it can be written with in UTC, or null.
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
// fraction only where there is one.
func appendTime(dst []byte, ms int64) []byte {
	dst = append(dst, '"')
	dst = time.UnixMilli(ms).UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

// size is a number of bytes as the specification has most of them: a string.
func size(n uint64) string { return strconv.FormatUint(n, 10) }
