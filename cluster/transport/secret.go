package transport

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// What keys are derived from the cluster secret for. Nodes of all versions must derive the
// same keys: never change these.
const (
	purposeGossip    = "firescan cluster gossip encryption key v1"
	purposeAuthority = "firescan cluster certificate authority v1"
)

const (
	// minSecret is the length of a secret that cannot be guessed, in bytes.
	minSecret = 16
	// keySize is the length of a derived key: a key for AES-256, a seed for Ed25519.
	keySize = 32
)

// GossipKey derives the key that encrypts gossip from the cluster secret.
func GossipKey(secret []byte) ([]byte, error) { return deriveKey(secret, purposeGossip) }

// deriveKey derives a key from the cluster secret with HKDF (RFC 5869), without a salt since
// the secret is uniformly random.
func deriveKey(secret []byte, purpose string) ([]byte, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the cluster secret has %d bytes: at least %d random ones are needed", len(secret), minSecret)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, keySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key from the cluster secret: %w", err)
	}
	return key, nil
}
