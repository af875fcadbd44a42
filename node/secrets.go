package node

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// errNoSecret is returned when a node that has to find others has no secret file.
var errNoSecret = errors.New("a node that joins others needs their secret: start all nodes with the same --cluster-secret-file (create one with `openssl rand -base64 32`)")

// secretBytes is the length of the cluster secret and of keys derived from it.
const secretBytes = 32

// purposeKEK separates the key that encrypts the keyset from other keys derived from the
// cluster secret. Never change it: stored keysets depend on it.
const purposeKEK = "firescan credential keyset encryption key v1"

// clusterSecret returns the secret that all nodes of a cluster share. Without a configured
// file, the first start creates one in the data directory, unless the node joins others:
// they would not have it.
func clusterSecret(dir *dataDir, file string, joins bool) ([]byte, error) {
	own := file == ""
	if own {
		file = dir.join(secretFile)
	}
	secret, err := readKey(file)
	if !own || !errors.Is(err, os.ErrNotExist) {
		return secret, err
	}
	// A node with a catalog had a secret. A new one could not open its credentials, and no
	// other node would have it.
	if _, err := os.Stat(dir.join(catalogFile)); err == nil {
		return nil, fmt.Errorf("%s is missing although the node ran before: restore it, or set --cluster-secret-file", file)
	}
	if joins {
		return nil, errNoSecret
	}
	secret = make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	return secret, writeFile(file, []byte(base64.StdEncoding.EncodeToString(secret)+"\n"))
}

// LaxSecret returns a warning about a secret file that other users can read or write, else "".
// It is no error: Kubernetes and Docker mount secrets readable, in a place for one container.
func LaxSecret(file string) string {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 { // whoever reads it reports errors
		return ""
	}
	return fmt.Sprintf("the secret file %s has mode %04o, so other users can read or change it: chmod 600 it", file, info.Mode().Perm())
}

// secretFiles returns the secret files of a configuration.
func (c *Config) secretFiles() []string {
	files := []string{
		filepath.Join(c.DataDir, secretFile), filepath.Join(c.DataDir, rootTokenFile),
		c.SecretFile, c.MasterKeyFile, c.TLSKey, c.ClusterKey,
	}
	if c.GCSKeyDir != "" {
		keys, _ := filepath.Glob(filepath.Join(c.GCSKeyDir, "*"))
		below, _ := filepath.Glob(filepath.Join(c.GCSKeyDir, "*", "*"))
		files = slices.Concat(files, keys, below)
	}
	return files
}

// keyEncryptionKey returns the key that encrypts the keyset for credentials.
func keyEncryptionKey(secret []byte, masterKeyFile string) ([]byte, error) {
	if masterKeyFile != "" {
		return readKey(masterKeyFile)
	}
	// HKDF as in RFC 5869. The secret is uniformly random, so it needs no salt.
	return hkdf.Key(sha256.New, secret, nil, purposeKEK, secretBytes)
}

// readKey reads a key of secretBytes bytes in base64.
func readKey(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read a secret: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != secretBytes {
		// Neither the text nor the decoder's error, which may quote it.
		return nil, fmt.Errorf("%s is not %d bytes in base64: create one with `openssl rand -base64 %d`", file, secretBytes, secretBytes)
	}
	return key, nil
}
