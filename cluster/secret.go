package cluster

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// What keys are made from the cluster secret for. Nodes of all versions must come to the
// same keys: never change these.
const (
	purposeGossip    = "firescan cluster gossip encryption key v1"
	purposeAuthority = "firescan cluster certificate authority v1"
)

const (
	// leastSecret is the length of a secret that cannot be guessed, in bytes.
	leastSecret = 16
	// keySize is the length of what is made from it: a key of AES-256, a seed of ed25519.
	keySize = 32
)

// derive makes a key from the cluster secret: HKDF as in RFC 5869, without a salt since
// the secret is uniformly random.
func derive(secret []byte, purpose string) ([]byte, error) {
	if len(secret) < leastSecret {
		return nil, fmt.Errorf("the cluster secret has %d bytes: at least %d random ones are needed", len(secret), leastSecret)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, keySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key from the cluster secret: %w", err)
	}
	return key, nil
}

const (
	// certificateLife is how long a certificate that a node issues itself is valid. It is
	// replaced after half of it.
	certificateLife = 24 * time.Hour
	// clockSkew is how far the clocks of two nodes may be apart.
	clockSkew = time.Hour
)

// issuer makes the certificates of this node. All nodes with the same secret have the
// same authority, so that each issues its own and all trust it: mutual TLS without files.
// It is safe for concurrent use.
type issuer struct {
	id        string
	life      time.Duration
	authority *x509.Certificate
	key       ed25519.PrivateKey // of the authority
	pool      *x509.CertPool

	mu      sync.Mutex
	current *tls.Certificate
	renew   time.Time
}

// newIssuer makes the authority of a secret, which is the same on every node: its key is
// derived, and nothing in it depends on time or place.
func newIssuer(secret []byte, id string, life time.Duration) (*issuer, error) {
	seed, err := derive(secret, purposeAuthority)
	if err != nil {
		return nil, err
	}
	i := &issuer{id: id, life: life, key: ed25519.NewKeyFromSeed(seed), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "firescan cluster"},
		NotBefore:             time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280: no end
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, i.key.Public(), i.key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate authority of the cluster: %w", err)
	}
	if i.authority, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("make the certificate authority of the cluster: %w", err)
	}
	i.pool.AddCert(i.authority)
	return i, nil
}

// certificate implements credentials: it issues a new one when the last is past half of
// its life. Handshakes ask for it, so a process that runs for months never holds an old one.
func (i *issuer) certificate() (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	if i.current != nil && now.Before(i.renew) {
		return i.current, nil
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of this node's certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("number this node's certificate: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: i.id},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(i.life),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, i.authority, public, i.key)
	if err != nil {
		return nil, fmt.Errorf("issue this node's certificate: %w", err)
	}
	i.current = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
	i.renew = now.Add(i.life / 2)
	return i.current, nil
}

// authorities implements credentials.
func (i *issuer) authorities() (*x509.CertPool, error) { return i.pool, nil }
