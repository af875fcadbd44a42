package socketio

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Error codes of Engine.IO.
const (
	codeTransport  = 0
	codeUnknownSID = 1
	codeMethod     = 2
	codeBadRequest = 3
	codeForbidden  = 4
	codeVersion    = 5
)

// refuse writes an error as Engine.IO's clients expect it.
func refuse(w http.ResponseWriter, status, code int, message string) {
	body, _ := json.Marshal(struct { // plain fields never fail
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{code, message})
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// refuseSession refuses a new session, since the server closes.
func refuseSession(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "5")
	refuse(w, http.StatusServiceUnavailable, codeForbidden, "This node is shutting down; connect again")
}
