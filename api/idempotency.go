package api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
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
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotency-Replayed"
	maxOnceKey     = 255
	// maxRemembered is the longest answer that is remembered, in bytes.
	maxRemembered = 64 << 10
	// rememberFor is how long a key stands for its request.
	rememberFor = 24 * time.Hour
	// rememberWithin bounds how long an answer waits to be remembered.
	rememberWithin = 5 * time.Second
)

// once makes a POST with an Idempotency-Key have its effect once.
type once struct {
	key         string
	fingerprint []byte
	// private answers are not remembered: they show a secret.
	private bool
	// status and body are the answer, held back until it is remembered; 0 when there is none.
	status int
	body   []byte
}

// handle does what the route does, and for a POST with an Idempotency-Key does it once.
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
		// What has no bound, an import, has the same effect however often it is sent.
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
	// A client that retries while the first request is under way gets its answer. On another
	// node both may work at once; what they make, they make once all the same.
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
	status, answer := c.once.status, c.once.body
	c.once = nil
	c.sendJSON(status, answer)
	return nil
}

// fingerprint tells requests apart. Bodies hold credentials, of which nothing may be
// learned from what is stored: so it is keyed with the caller's token, which is not.
// That makes the key of another caller another request.
func (c *call) fingerprint(body []byte) []byte {
	r := c.Request
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	h := hmac.New(sha256.New, []byte(token))
	fmt.Fprintf(h, "%s %q %q\n", r.Method, r.URL.Path, r.URL.RawQuery)
	h.Write(body)
	return h.Sum(nil)
}

// remembered is the answer to the request that was sent under the key before, nil when
// there is none.
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
		return nil
	})
	return known, err
}

// remember stores the answer, also for a client that has left: that one asks again.
func (c *call) remember() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.context()), rememberWithin)
	defer cancel()
	if _, err := c.backend.consensus.Propose(ctx, &pb.StoreAnswer{
		Org: c.org, Key: c.once.key, Fingerprint: c.once.fingerprint,
		Status: uint32(c.once.status), Body: c.once.body, At: c.backend.now().UnixMilli(),
	}); err != nil {
		c.log.Warn("an answer could not be remembered; a retry of its request will be carried out again", "error", err)
	}
}

// hold keeps an answer back to be remembered before it is sent. It answers false for
// one that is to be sent at once: of a failure, which a retry may well get past, of a
// request without a key, and one that is too long or shows a secret.
func (c *call) hold(status int, body []byte) bool {
	if c.once == nil || c.once.private || status >= http.StatusMultipleChoices || len(body) > maxRemembered {
		return false
	}
	c.once.status, c.once.body = status, body
	return true
}

// proposeOnce brings a change into the catalog that makes something new. A retry of the
// request does not make another one: its answer is the result of the first. part tells apart
// the changes of a request that makes several.
func (c *call) proposeOnce(command Command, part string) (*pb.Result, error) {
	if c.once == nil {
		return c.propose(command)
	}
	key := c.once.key
	if part != "" {
		// No client can send a key with a space in it.
		sum := sha256.Sum256([]byte(key))
		key = hex.EncodeToString(sum[:]) + " " + part
	}
	return c.backend.consensus.ProposeOnce(c.context(), command, &pb.Once{
		Org: c.org, Key: key, Fingerprint: c.once.fingerprint, At: c.backend.now().UnixMilli(),
	})
}
