package api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const (
	replayedHeader = "Idempotency-Replayed"
	maxOnceKey     = 255
	// rememberFor is how long a key stands for its request.
	rememberFor = 24 * time.Hour
	// rememberWithin bounds how long a response waits to be stored.
	rememberWithin = 5 * time.Second
)

// handle calls the route's handler, once per Idempotency-Key of a POST.
func (c *call) handle() error {
	if c.Request.Method != http.MethodPost || c.route.access == Public {
		return c.route.handle(c)
	}
	given := c.Request.Header.Values(keyHeader)
	if len(given) == 0 {
		return c.route.handle(c)
	}
	key := given[0]
	if len(given) > 1 || len(key) == 0 || len(key) > maxOnceKey || strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		return invalidField(keyHeader, "must be one key of 1 to 255 visible ASCII characters")
	}
	if c.route.timeout == noTimeout {
		// An import has no time limit, and the same effect however often it is sent.
		return c.route.handle(c)
	}
	return c.handleOnce(key)
}

func (c *call) handleOnce(key string) error {
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return badJSON(err)
	}
	c.bodyTaken()
	c.Request.Body = io.NopCloser(bytes.NewReader(body))
	c.once = &once{key: key, fingerprint: c.fingerprint(body)}
	// A client that retries while the first request is in progress gets the response of
	// the first. Two nodes may both handle the request, but create objects only once.
	leave, err := c.backend.flights.enter(c.context(), c.org+"\x00"+key)
	if err != nil {
		return err
	}
	defer leave()
	if err := c.backend.consensus.Barrier(c.context()); err != nil {
		return err
	}
	known, err := c.remembered()
	if err != nil {
		return err
	}
	if known != nil {
		c.once = nil
		c.Header().Set(replayedHeader, "true")
		c.sendJSON(int(known.Status), known.Body)
		return nil
	}
	if err := c.route.handle(c); err != nil || c.once.status == 0 {
		return err
	}
	c.remember()
	status, body := c.once.status, c.once.body
	c.once = nil
	c.sendJSON(status, body)
	return nil
}

// fingerprint identifies a request. Bodies hold credentials, about which the stored
// fingerprint must reveal nothing: so it is keyed with the caller's token, which is not
// stored. The same request of another caller is a different one.
func (c *call) fingerprint(body []byte) []byte {
	r := c.Request
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	h := hmac.New(sha256.New, []byte(token))
	fmt.Fprintf(h, "%s %q %q\n", r.Method, r.URL.Path, r.URL.RawQuery)
	h.Write(body)
	return h.Sum(nil)
}

// remembered returns the response of an earlier request with this key, nil without one.
func (c *call) remembered() (known *pb.Answer, err error) {
	err = c.backend.catalog.View(func(tx *catalog.Tx) error {
		a, err := tx.Answer(c.org, c.once.key)
		switch {
		case errors.Is(err, catalog.ErrNotFound):
			return nil
		case err != nil:
			return err
		case a.At < c.backend.now().Add(-rememberFor).UnixMilli():
			return nil
		case subtle.ConstantTimeCompare(a.Fingerprint, c.once.fingerprint) != 1:
			return &Error{Code: CodeConflict, Message: "This " + keyHeader + " was used for another request; use a new key for each"}
		case a.Status != 0:
			known = a
		}
		c.once.applied = a.Result != nil
		return nil
	})
	return known, err
}

// remember stores the response, even when the client has left: it will retry.
func (c *call) remember() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.context()), rememberWithin)
	defer cancel()
	answer := &pb.StoreAnswer{
		Org: c.org, Key: c.once.key, Fingerprint: c.once.fingerprint,
		Status: uint32(c.once.status), Body: c.once.body, At: c.backend.now().UnixMilli(),
	}
	err := c.backend.makeRoom(answer)
	if err == nil {
		_, err = c.backend.consensus.Propose(ctx, answer)
	}
	if err != nil {
		c.log.Warn("the response to a request with an Idempotency-Key could not be stored; a retry will run again", "error", err)
	}
}
