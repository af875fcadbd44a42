package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Files are PEM files of certificates of the operator's own, for the cluster port. They
// replace those that are derived from the secret, and are read again when they change.
type Files struct {
	// Cert and Key are this node's certificate, with the chain that leads to CA, and its
	// key. It must be good for servers and clients, and name the node's id or the host that
	// others reach it at.
	Cert, Key string
	// CA holds the authorities that the certificates of other nodes are checked against.
	CA string
}

// given tells whether certificates of the operator's own are to be used.
func (f Files) given() bool { return f != Files{} }

// lookEvery is how often the files may be looked at, at most.
const lookEvery = time.Second

// certFiles reads certificates from files. Handshakes ask for them, and they are read
// again after they have changed; while they cannot be read, as in the middle of being
// replaced, the last ones serve. It is safe for concurrent use.
type certFiles struct {
	files  Files
	logger *slog.Logger

	mu     sync.Mutex
	looked time.Time
	state  [3]fileState
	cert   *tls.Certificate
	pool   *x509.CertPool
}

// fileState tells versions of a file apart.
type fileState struct {
	size    int64
	changed time.Time
}

func openCertFiles(f Files, logger *slog.Logger) (*certFiles, error) {
	c := &certFiles{files: f, logger: logger}
	return c, c.load()
}

func (c *certFiles) names() [3]string { return [3]string{c.files.Cert, c.files.Key, c.files.CA} }

func (c *certFiles) load() error {
	var state [3]fileState
	for i, name := range c.names() {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("look at the certificates for the cluster port: %w", err)
		}
		state[i] = fileState{info.Size(), info.ModTime()}
	}
	if c.cert != nil && state == c.state {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return fmt.Errorf("load the certificate for the cluster port from %s and %s: %w", c.files.Cert, c.files.Key, err)
	}
	pem, err := os.ReadFile(c.files.CA)
	if err != nil {
		return fmt.Errorf("read the authorities for the cluster port: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate in PEM", c.files.CA)
	}
	if c.cert != nil {
		c.logger.Info("the certificates for the cluster port have changed; the new ones are used from now on")
	}
	c.cert, c.pool, c.state = &cert, pool, state
	return nil
}

// fresh reads the files again when they have changed.
func (c *certFiles) fresh() {
	if time.Since(c.looked) < lookEvery {
		return
	}
	c.looked = time.Now()
	if err := c.load(); err != nil {
		c.logger.Warn("the certificates for the cluster port cannot be read again; the last ones are used", "error", err)
	}
}

// certificate implements credentials.
func (c *certFiles) certificate() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fresh()
	return c.cert, nil
}

// authorities implements credentials.
func (c *certFiles) authorities() (*x509.CertPool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fresh()
	return c.pool, nil
}
