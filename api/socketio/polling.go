package socketio

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// servePolling serves a request of a client that polls: the first, which begins its
// session, a poll for packets, or packets of its own.
func (s *Server) servePolling(w http.ResponseWriter, r *http.Request, id string) {
	if id == "" {
		s.beginPolling(w, r)
		return
	}
	one := s.session(id)
	switch {
	case one == nil:
		refuse(w, http.StatusBadRequest, codeUnknownSID,
			"Session ID unknown; it ended, or a load balancer sent its requests to several nodes: polling needs sticky sessions")
	case one.hasMoved():
		refuse(w, http.StatusBadRequest, codeBadRequest, "Bad request: the session moved to websocket")
	case r.Method == http.MethodGet:
		one.poll(w, r)
	case r.Method == http.MethodPost:
		one.post(w, r)
	default:
		refuse(w, http.StatusBadRequest, codeMethod, "Bad handshake method")
	}
}

func (s *Server) beginPolling(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		refuse(w, http.StatusBadRequest, codeMethod, "Bad handshake method")
		return
	}
	one := s.open()
	if one == nil {
		refuseNew(w)
		return
	}
	if err := s.send(w, openPacket(one, []string{"websocket"})); err != nil {
		one.close("the client left", false)
	}
}

// poll answers the next packets.
func (s *session) poll(w http.ResponseWriter, r *http.Request) {
	select {
	case s.seat <- struct{}{}:
	default:
		s.close("polled twice at once", false)
		refuse(w, http.StatusBadRequest, codeBadRequest, "Bad request: another poll is under way")
		return
	}
	packets, err := s.next(r.Context(), s.waits())
	<-s.seat // before the answer, at whose end the client may poll again
	switch {
	case errors.Is(err, errEnded):
		packets = [][]byte{closePacket}
	case err != nil:
		s.close("the client left its poll", false)
		return
	}
	if err := s.server.send(w, packets...); err != nil {
		s.close("the client left its poll", false) // with packets that nobody has now
	}
}

// post takes packets.
func (s *session) post(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") == "application/octet-stream" {
		s.close("sent a binary body", false)
		refuse(w, http.StatusBadRequest, codeBadRequest, "Bad request: a binary body")
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.server.ReadTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if err != nil {
		s.close("sent a body that was cut or too large", false)
		refuse(w, http.StatusRequestEntityTooLarge, codeBadRequest, "Bad request: the body was cut, or is larger than "+strconv.Itoa(maxPayload)+" bytes")
		return
	}
	s.take(bytes.Split(body, []byte{separator})...)
	if err := s.server.send(w, []byte("ok")); err != nil {
		s.close("the client left its request", false)
	}
}

// send writes packets as the answer to a request.
func (s *Server) send(w http.ResponseWriter, packets ...[]byte) error {
	body := bytes.Join(packets, []byte{separator})
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	// A deadline of an earlier request on the connection would still hold.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.WriteTimeout))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(body)
	return err
}
