package transport

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// clockSkew is how far the clocks of two nodes may be apart.
const clockSkew = time.Hour

// An Issuer issues the certificates of this node. All nodes with the same secret derive the
// same authority, so each issues its own certificate and all trust it: mutual TLS without
// files. It is safe for concurrent use.
type Issuer struct {
	id       string
	lifetime time.Duration

	mu        sync.Mutex
	authority *authority     // that issues
	pool      *x509.CertPool // of all that are trusted
	current   *tls.Certificate
	renew     time.Time
}

// authority is the certificate authority of one secret.
type authority struct {
	certificate *x509.Certificate
	key         ed25519.PrivateKey
}

var _ Credentials = (*Issuer)(nil)

// NewIssuer returns an issuer that uses these secrets: see Use.
func NewIssuer(secrets [][]byte, id string, lifetime time.Duration) (*Issuer, error) {
	i := &Issuer{id: id, lifetime: lifetime}
	return i, i.Use(secrets)
}

// Use makes the first of these secrets the one that certificates are issued with.
// Certificates of the others are trusted, too.
func (i *Issuer) Use(secrets [][]byte) error {
	var first *authority
	pool := x509.NewCertPool()
	for _, secret := range secrets {
		a, err := deriveAuthority(secret)
		if err != nil {
			return err
		}
		pool.AddCert(a.certificate)
		if first == nil {
			first = a
		}
	}
	if first == nil {
		return errors.New("there is no cluster secret")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.authority == nil || !i.authority.key.Equal(first.key) {
		i.current = nil
	}
	i.authority, i.pool = first, pool
	return nil
}

// deriveAuthority derives an authority from a secret. It is the same on every node, since
// nothing in it depends on time or place.
func deriveAuthority(secret []byte) (*authority, error) {
	seed, err := deriveKey(secret, purposeAuthority)
	if err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "firescan cluster"},
		NotBefore:             time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280: does not expire
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("create the certificate authority of the cluster: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("create the certificate authority of the cluster: %w", err)
	}
	return &authority{certificate, key}, nil
}

// Certificate implements Credentials. It issues a new certificate when half of the lifetime
// of the current one is over, so that a process that runs for months presents a valid one.
func (i *Issuer) Certificate() (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	if i.current != nil && now.Before(i.renew) {
		return i.current, nil
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate the key of this node's certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("generate the serial number of this node's certificate: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: i.id},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(i.lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, i.authority.certificate, public, i.authority.key)
	if err != nil {
		return nil, fmt.Errorf("issue this node's certificate: %w", err)
	}
	i.current = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
	i.renew = now.Add(i.lifetime / 2)
	return i.current, nil
}

// Authorities implements Credentials.
func (i *Issuer) Authorities() (*x509.CertPool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.pool, nil
}
