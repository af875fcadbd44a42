package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// CertFiles names PEM files.
type CertFiles struct {
	// Cert is the certificate with its chain, and Key its private key. On the cluster port the
	// certificate must allow server and client use, and name the node's id.
	Cert, Key string
	// CA holds the authorities that certificates of other nodes are verified against.
	CA string
}

// checkInterval is the minimum time between two looks at the files.
const checkInterval = time.Second

// A Reloader serves the certificate in files, and reads them again after they have changed.
// While they cannot be read, as in the middle of a replacement, it keeps the previous
// certificate. It is safe for concurrent use.
type Reloader struct {
	files  CertFiles
	logger *slog.Logger

	mu          sync.Mutex
	checked     time.Time
	version     [3]fileVersion
	certificate *tls.Certificate
	authorities *x509.CertPool
}

var _ Credentials = (*Reloader)(nil)

// fileVersion distinguishes contents of a file.
type fileVersion struct {
	size    int64
	changed time.Time
}

// NewReloader reads the files. CA is optional for a reloader that serves no Authorities.
func NewReloader(files CertFiles, logger *slog.Logger) (*Reloader, error) {
	r := &Reloader{files: files, logger: logger}
	return r, r.load()
}

// Certificate implements Credentials.
func (r *Reloader) Certificate() (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	return r.certificate, nil
}

// Authorities implements Credentials.
func (r *Reloader) Authorities() (*x509.CertPool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	return r.authorities, nil
}

func (r *Reloader) refresh() {
	if time.Since(r.checked) < checkInterval {
		return
	}
	r.checked = time.Now()
	if err := r.load(); err != nil {
		r.logger.Warn("reloading the certificate failed; the previous one stays in use", "file", r.files.Cert, "error", err)
	}
}

// load reads the files, unless they are unchanged.
func (r *Reloader) load() error {
	var now [3]fileVersion
	for i, name := range []string{r.files.Cert, r.files.Key, r.files.CA} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		now[i] = fileVersion{info.Size(), info.ModTime()}
	}
	if r.certificate != nil && now == r.version {
		return nil
	}
	certificate, err := tls.LoadX509KeyPair(r.files.Cert, r.files.Key)
	if err != nil {
		return fmt.Errorf("load %s and %s: %w", r.files.Cert, r.files.Key, err)
	}
	authorities, err := loadAuthorities(r.files.CA)
	if err != nil {
		return err
	}
	if r.certificate != nil {
		r.logger.Info("certificate reloaded", "file", r.files.Cert)
	}
	r.certificate, r.authorities, r.version = &certificate, authorities, now
	return nil
}

func loadAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no PEM certificate in " + file)
	}
	return pool, nil
}
