package api

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// id returns the id in the path. An invalid id becomes one that no object has.
func (c *call) id() string {
	if id := c.params.ByName("id"); validID(id) {
		return id
	}
	return "~"
}

// validID reports whether a client's id can be used in keys and URLs, which drop "."
// and "..".
func validID(id string) bool {
	return len(id) > 0 && len(id) <= 128 && id != "." && id != ".." && strings.IndexFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_-.:", c)
	}) < 0
}

// requestID returns the client's own id if it is valid, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	sane := len(id) > 0 && len(id) <= 64 && strings.IndexFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	}) < 0
	if sane {
		return id
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
