package socketio

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// poll sends the next packets.
func (s *session) poll(w http.ResponseWriter, r *http.Request) {
	select {
	case s.sending <- struct{}{}:
	default:
		s.close("two polls at the same time", false)
		refuse(w, http.StatusBadRequest, codeBadRequest, "Bad request: another poll is in progress")
		return
	}
	packets, err := s.next(r.Context(), s.pollRelease())
	<-s.sending // before the response, after which the client polls again
	switch {
	case errors.Is(err, errEnded):
		packets = [][]byte{closePacket}
	case err != nil:
		s.close("the client canceled its poll", false)
		return
	}
	if err := writePackets(w, s.config.WriteTimeout, packets...); err != nil {
		s.close("the client canceled its poll", false) // and the packets are lost
	}
}

// post receives packets.
func (s *session) post(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") == "application/octet-stream" {
		s.close("binary body", false)
		refuse(w, http.StatusBadRequest, codeBadRequest, "Bad request: binary body")
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.config.ReadTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if err != nil {
		s.close("body incomplete or too large", false)
		refuse(w, http.StatusRequestEntityTooLarge, codeBadRequest, "Bad request: the body is incomplete, or larger than "+strconv.Itoa(maxPayload)+" bytes")
		return
	}
	s.receive(bytes.Split(body, []byte{separator})...)
	if err := writePackets(w, s.config.WriteTimeout, []byte("ok")); err != nil {
		s.close("the client canceled its request", false)
	}
}

// writePackets writes packets as the response to a request.
func writePackets(w http.ResponseWriter, timeout time.Duration, packets ...[]byte) error {
	body := bytes.Join(packets, []byte{separator})
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	// The deadline of an earlier request on this connection is still set.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(body)
	return err
}
