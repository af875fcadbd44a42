package node

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the files of the certificate are looked at, at most.
const lookEvery = time.Second

// certificate is that of the public port. It is read again after its files have changed, so
// that who renews it need not restart the node; while they cannot be read, as in the middle
// of being replaced, the last one serves. It is safe for concurrent use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu     sync.Mutex
	looked time.Time
	seen   [2]version
	pair   *tls.Certificate
}

// version tells contents of a file apart.
type version struct {
	size    int64
	changed time.Time
}

func openCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("load --http-tls-cert and --http-tls-key: %w", err)
	}
	return c, nil
}

// get serves tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		if err := c.load(); err != nil {
			c.log.Warn("the certificate of the API cannot be read again; the one before still serves", "error", err)
		}
	}
	return c.pair, nil
}

// load reads the files, unless they are as they were.
func (c *certificate) load() error {
	var now [2]version
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		now[i] = version{info.Size(), info.ModTime()}
	}
	if c.pair != nil && now == c.seen {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.seen = &pair, now
	return nil
}
