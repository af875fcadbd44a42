package node

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

// secretBytes is the length of the cluster secret and of keys made from it.
const secretBytes = 32

// purposeKEK separates the key that encrypts the keyset from all other keys that
// are derived from the cluster secret. It is part of what is stored: never change it.
const purposeKEK = "firescan credential keyset encryption key v1"

// clusterSecret reads the secret that all nodes of a cluster share. Without a file of
// the operator's, a node makes one in its data directory at its first start, unless it
// is to join others: they would not know it.
func clusterSecret(dir *dataDir, file string, joins bool) ([]byte, error) {
	own := file == ""
	if own {
		file = dir.join(secretFile)
	}
	secret, err := readKey(file)
	if !own || !errors.Is(err, os.ErrNotExist) {
		return secret, err
	}
	// A catalog without its secret is one that lost it: a new one would open none of
	// its credentials, and no other node would know it.
	if _, err := os.Stat(dir.join(catalogFile)); err == nil {
		return nil, fmt.Errorf("%s is missing although the node ran before: put it back, or name it with --cluster-secret-file", file)
	}
	if joins {
		return nil, errNoSecret
	}
	secret = make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	return secret, writeFile(file, []byte(base64.StdEncoding.EncodeToString(secret)+"\n"))
}

// keyEncryptionKey is what the keyset for credentials is encrypted with.
func keyEncryptionKey(secret []byte, masterKeyFile string) ([]byte, error) {
	if masterKeyFile != "" {
		return readKey(masterKeyFile)
	}
	// HKDF as in RFC 5869. The secret is uniformly random, so it needs no salt.
	return hkdf.Key(sha256.New, secret, nil, purposeKEK, secretBytes)
}

// readKey reads 32 random bytes in base64.
func readKey(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read a secret: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != secretBytes {
		// Neither the text nor the decoder's error, which may quote it.
		return nil, fmt.Errorf("%s does not hold %d bytes in base64: make one with `openssl rand -base64 %d`", file, secretBytes, secretBytes)
	}
	return key, nil
}
