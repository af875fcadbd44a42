package provider

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	"github.com/dustin/go-humanize"
)

// This file has what implementations share in reading responses.

// Untrusted marks a response that cannot be trusted. Its text is ours, not the server's.
type Untrusted struct{ Cause error }

func (u *Untrusted) Error() string { return u.Cause.Error() }
func (u *Untrusted) Unwrap() error { return u.Cause }

// MaxPage bounds the response to a list or a batch, in bytes. A list of a thousand names of
// 1,024 bytes, each byte written as six, with all properties of an object, has less.
const MaxPage = 8 << 20

func tooLong(limit int64) error {
	return &Untrusted{fmt.Errorf("%w: longer than %s", ErrTooLong, humanize.IBytes(uint64(limit)))}
}

// largeBodies are buffers for the few responses beyond maxUnqueued, of which a transport reads
// maxLarge at once. Growing a buffer for each would take many times their size until the next
// garbage collection.
var largeBodies = sync.Pool{New: func() any { b := make([]byte, 0, MaxPage+1); return &b }}

// Why a response cannot be trusted, inside of an Untrusted.
var (
	// ErrTooLong is for a response that is longer than any honest one.
	ErrTooLong = errors.New("the response is too long")
	// ErrCutShort is for a response that ends before it should.
	ErrCutShort = errors.New("the response ends too early")
)

// Bodies lends the bodies of responses in buffers that are reused. It is safe for
// concurrent use.
type Bodies struct{ buffers sync.Pool }

// NewBodies makes one whose new buffers have usual bytes.
func NewBodies(usual int) *Bodies {
	return &Bodies{sync.Pool{New: func() any { b := make([]byte, 0, usual); return &b }}}
}

// Lend reads body, of length bytes where that is known, to its end and hands it to read,
// to which it is only lent and which may write to it. A body that is too long or cut
// short is an *Untrusted; other errors are those of reading, and of read.
func (b *Bodies) Lend(body io.Reader, length int64, read func([]byte) error) error {
	if length > MaxPage {
		return tooLong(MaxPage)
	}
	usual := b.buffers.Get().(*[]byte) //nolint:forcetypeassert // it holds nothing else
	defer b.buffers.Put(usual)
	if need := int(min(length+1, maxUnqueued)); need > cap(*usual) {
		*usual = make([]byte, 0, need)
	}
	whole, err := fill((*usual)[:0], body)
	if err == nil && len(whole) < maxUnqueued {
		// The body is longer than usual, but not large.
		*usual = append(make([]byte, 0, maxUnqueued), whole...)
		whole, err = fill(*usual, body)
	}
	if err == nil {
		// The first bytes beyond wait for a place among the large responses, without a large
		// buffer.
		var beyond [512]byte
		var n int
		if n, err = body.Read(beyond[:]); n > 0 || err == nil {
			large := largeBodies.Get().(*[]byte) //nolint:forcetypeassert // it holds nothing else
			defer largeBodies.Put(large)
			whole = append(append((*large)[:0], whole...), beyond[:n]...)
			if err == nil {
				whole, err = fill(whole, body)
			}
		}
	}
	switch {
	case err == nil:
		return tooLong(MaxPage)
	case err == io.EOF: //nolint:errorlint // an error that wraps it is not the end of the body
		return read(whole)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Untrusted{ErrCutShort}
	}
	return err
}

// fill reads body into the rest of buffer. It returns io.EOF at the end of body, and nil if
// buffer is full before.
func fill(buffer []byte, body io.Reader) ([]byte, error) {
	for len(buffer) < cap(buffer) {
		n, err := body.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if err != nil {
			return buffer, err
		}
	}
	return buffer, nil
}

// Unreached returns the reason, for people, why there was no response.
func Unreached(err error) string {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "proxyconnect" { // of net/http
		return "the proxy (--egress-proxy) cannot be reached: " + Unreached(e.Err)
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the host name cannot be resolved"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the provider's TLS certificate is not trusted: its CA is neither the system's nor in --provider-ca-file"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the provider's TLS certificate is not trusted"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the provider does not speak TLS at this port"
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "the provider did not respond in time"
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "the connection was refused"
	}
	return "the connection failed"
}

// Decimal reads a number of up to 18 digits and nothing else.
func Decimal(text []byte) (n int64, ok bool) {
	if len(text) == 0 || len(text) > 18 {
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
