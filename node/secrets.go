package node

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
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

// secrets are the cluster secrets of a node. Outside of a rotation there is only Current.
type secrets struct {
	// Current is the one in use.
	Current []byte `json:"current"`
	// Next is accepted, and is in use soon; Previous is accepted until all nodes use Current.
	Next     []byte `json:"next,omitempty"`
	Previous []byte `json:"previous,omitempty"`
	// Retired are the digests of secrets that rotations have replaced.
	Retired []string `json:"retired,omitempty"`
}

// accepted returns all secrets, the one in use first.
func (s secrets) accepted() [][]byte {
	return slices.DeleteFunc([][]byte{s.Current, s.Next, s.Previous}, func(b []byte) bool { return len(b) == 0 })
}

func (s secrets) has(secret []byte) bool {
	return slices.ContainsFunc(s.accepted(), func(b []byte) bool { return bytes.Equal(b, secret) })
}

// knows reports whether a secret is, or was, one of these.
func (s secrets) knows(secret []byte) bool {
	return s.has(secret) || slices.Contains(s.Retired, digest(secret))
}

func digest(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:])
}

// The words that secrets in a file, other than the first, begin with. A second one without
// a word is that of the operator: it is accepted.
const (
	wordNext     = "next"
	wordPrevious = "previous"
	wordRetired  = "retired"
)

// text returns the content of a secret file.
func (s secrets) text() []byte {
	encode := base64.StdEncoding.EncodeToString
	lines := []string{encode(s.Current)}
	if len(s.Next) > 0 {
		lines = append(lines, wordNext+" "+encode(s.Next))
	}
	if len(s.Previous) > 0 {
		lines = append(lines, wordPrevious+" "+encode(s.Previous))
	}
	for _, d := range s.Retired {
		lines = append(lines, wordRetired+" "+d)
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// readSecrets reads a secret file.
func readSecrets(file string) (s secrets, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return s, fmt.Errorf("read a secret: %w", err)
	}
	for line := range strings.Lines(strings.TrimSpace(string(text))) {
		word, value, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found {
			word, value = "", word
		}
		if word == wordRetired {
			s.Retired = append(s.Retired, value)
			continue
		}
		secret, err := decodeKey(file, value)
		switch {
		case err != nil:
			return s, err
		case s.Current == nil && word == "":
			s.Current = secret
		case s.Next == nil && word == wordNext:
			s.Next = secret
		case s.Previous == nil && (word == "" || word == wordPrevious):
			s.Previous = secret
		default:
			return s, fmt.Errorf("%s has too many secrets: give the one to use, and at most one below that is still accepted", file)
		}
	}
	if s.Current == nil {
		_, err = decodeKey(file, "")
	}
	return s, err
}

// clusterSecrets returns the secrets that all nodes of a cluster share. Without a configured
// file, the first start creates one in the data directory, unless the node joins others:
// they would not have it.
//
// A rotation writes the new secret to the data directory. It is used, whatever the configured
// file has, unless that has one that this node never had: then an operator has changed it.
func clusterSecrets(dir *dataDir, file string, joins bool, log *slog.Logger) (secrets, error) {
	own := dir.join(secretFile)
	stored, err := readSecrets(own)
	if file != "" {
		given, givenErr := readSecrets(file)
		if givenErr != nil || err != nil || !stored.knows(given.Current) {
			return given, givenErr
		}
		if !bytes.Equal(given.Current, stored.Current) {
			log.Warn("the cluster secret was rotated: replace the content of --cluster-secret-file with that of the file in the data directory, which is used",
				"configured", file, "used", own)
		}
		return stored, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return stored, err
	}
	// A node with a catalog had a secret. A new one could not open its credentials, and no
	// other node would have it.
	if _, err := os.Stat(dir.join(catalogFile)); err == nil {
		return secrets{}, fmt.Errorf("%s is missing although the node ran before: restore it, or set --cluster-secret-file", own)
	}
	if joins {
		return secrets{}, errNoSecret
	}
	s := secrets{Current: newSecret()}
	return s, writeFile(own, s.text())
}

func newSecret() []byte {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	return secret
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
	return decodeKey(file, strings.TrimSpace(string(text)))
}

func decodeKey(file, text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != secretBytes {
		// Neither the text nor the decoder's error, which may quote it.
		return nil, fmt.Errorf("%s is not %d bytes in base64: create one with `openssl rand -base64 %d`", file, secretBytes, secretBytes)
	}
	return key, nil
}
