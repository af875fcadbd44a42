package api

import (
	"net/http"
	"time"
)

// usualHeartbeat keeps proxies from closing a quiet stream.
const usualHeartbeat = 15 * time.Second

// events has the handler of server-sent events.
type events struct {
	hub *hub
	// heartbeat is how often a quiet stream is written to, and its token checked.
	heartbeat time.Duration
}

// stream sends the organization's events as server-sent events until the client leaves
// or falls behind, or its token becomes invalid.
func (h *events) stream(c *call) error {
	l, err := h.hub.listen(c.org, c.token.Id, asSSE)
	if err != nil {
		return err
	}
	defer h.hub.leave(l, false)
	c.Header().Set("Content-Type", "text/event-stream")
	c.Header().Set("X-Accel-Buffering", "no") // for nginx
	c.WriteHeader(http.StatusOK)
	control := http.NewResponseController(c.ResponseWriter)
	send := func(frame []byte) error {
		c.extendWriteDeadline()
		if _, err := c.Write(frame); err != nil {
			return err
		}
		return control.Flush()
	}
	if err := send([]byte(": connected\n\n")); err != nil {
		return err
	}
	tick := time.NewTicker(h.heartbeat)
	defer tick.Stop()
	for {
		var frame []byte
		select {
		case next, ok := <-l.frames:
			if !ok {
				return nil
			}
			frame = next
		case <-tick.C:
			if !c.backend.valid(c.token) {
				return nil
			}
			frame = []byte(": heartbeat\n\n")
		case <-c.context().Done():
			return nil
		}
		if err := send(frame); err != nil {
			return nil // the client went away
		}
	}
}

func shuttingDown() *Error {
	return &Error{Code: CodeIndexUnavailable, Message: "This node is shutting down; connect again"}
}
