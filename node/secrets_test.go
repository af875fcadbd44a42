package node

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClusterSecretIsMadeOnce(t *testing.T) {
	d := &dataDir{path: t.TempDir()}
	first, err := clusterSecret(d, "", false)
	if err != nil || len(first) != secretBytes {
		t.Fatal(len(first), err)
	}
	if again, err := clusterSecret(d, "", false); err != nil || !bytes.Equal(first, again) {
		t.Errorf("another secret at the second start, %v", err)
	}
	if shared, err := clusterSecret(&dataDir{path: t.TempDir()}, d.join(secretFile), true); err != nil || !bytes.Equal(first, shared) {
		t.Errorf("another secret on another node, %v", err)
	}
}

func TestLostSecretIsNotReplaced(t *testing.T) {
	d := &dataDir{path: t.TempDir()}
	if err := os.WriteFile(d.join(catalogFile), nil, privateFile); err != nil {
		t.Fatal(err)
	}
	if _, err := clusterSecret(d, "", false); err == nil || !strings.Contains(err.Error(), "restore it") {
		t.Errorf("a catalog without its secret: %v", err)
	}
	// A secret that nobody else has is of no use to a node that joins others.
	if _, err := clusterSecret(&dataDir{path: t.TempDir()}, "", true); !errors.Is(err, errNoSecret) {
		t.Errorf("a node that joins made itself a secret: %v", err)
	}
	if _, err := clusterSecret(d, filepath.Join(d.path, "none"), false); err == nil {
		t.Error("a secret of the operator's was made up")
	}
}

func TestKeysAreReadAndNeverTold(t *testing.T) {
	for name, text := range map[string]string{
		"short": base64.StdEncoding.EncodeToString([]byte("too short")), "no base64": "hunter2hunter2hunter2", "empty": "",
	} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(text), privateFile); err != nil {
			t.Fatal(err)
		}
		_, err := readKey(file)
		if err == nil || !strings.Contains(err.Error(), "openssl rand") {
			t.Errorf("%s: %v", name, err)
		}
		if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error contains the key: %v", name, err)
		}
	}
}

// The key must never change for a given secret: what it encrypted is stored.
func TestKeyEncryptionKeyIsFixed(t *testing.T) {
	kek, err := keyEncryptionKey(make([]byte, secretBytes), "")
	if err != nil {
		t.Fatal(err)
	}
	const want = "b7f6911d4aa129871fc8a31538cb811b647a0b785b641a2f6329de5eea4fe838"
	if got := hex.EncodeToString(kek); got != want {
		t.Errorf("key %s, want %s", got, want)
	}
	file := filepath.Join(t.TempDir(), "master")
	own := bytes.Repeat([]byte{7}, secretBytes)
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(own)+"\n"), privateFile); err != nil {
		t.Fatal(err)
	}
	if got, err := keyEncryptionKey(make([]byte, secretBytes), file); err != nil || !bytes.Equal(got, own) {
		t.Errorf("with a master key file: %x, %v", got, err)
	}
}
