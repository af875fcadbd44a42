package node

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClusterSecretIsMadeOnce(t *testing.T) {
	d := &dataDir{path: t.TempDir()}
	made, err := clusterSecrets(d, "", false, discard())
	first := made.Current
	if err != nil || len(first) != secretBytes {
		t.Fatal(len(first), err)
	}
	if again, err := clusterSecrets(d, "", false, discard()); err != nil || !bytes.Equal(first, again.Current) {
		t.Errorf("another secret at the second start, %v", err)
	}
	if shared, err := clusterSecrets(&dataDir{path: t.TempDir()}, d.join(secretFile), true, discard()); err != nil || !bytes.Equal(first, shared.Current) {
		t.Errorf("another secret on another node, %v", err)
	}
}

func TestLostSecretIsNotReplaced(t *testing.T) {
	d := &dataDir{path: t.TempDir()}
	if err := os.WriteFile(d.join(catalogFile), nil, privateFile); err != nil {
		t.Fatal(err)
	}
	if _, err := clusterSecrets(d, "", false, discard()); err == nil || !strings.Contains(err.Error(), "restore it") {
		t.Errorf("a catalog without its secret: %v", err)
	}
	// A secret that nobody else has is of no use to a node that joins others.
	if _, err := clusterSecrets(&dataDir{path: t.TempDir()}, "", true, discard()); !errors.Is(err, errNoSecret) {
		t.Errorf("a node that joins made itself a secret: %v", err)
	}
	if _, err := clusterSecrets(d, filepath.Join(d.path, "none"), false, discard()); err == nil {
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

// TestLaxSecretFiles warns of secret files that other users can read, by their names.
func TestLaxSecretFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	c := Config{
		DataDir: filepath.Join(dir, "data"), SecretFile: write("secret", 0o644), MasterKeyFile: write("master", 0o600),
		TLSKey: write("tls", 0o640), ClusterKey: write("cluster", 0o400), GCSKeyDir: filepath.Join(dir, "gcs"),
	}
	write("data/root.token", 0o600)
	write("gcs/good.json", 0o600)
	want := []string{c.SecretFile, c.TLSKey, write("gcs/lax.json", 0o604), write("gcs/org/lax.json", 0o602)}
	var warnings []string
	for _, file := range c.secretFiles() {
		if warning := LaxSecret(file); warning != "" {
			warnings = append(warnings, warning)
		}
	}
	if len(warnings) != len(want) {
		t.Fatalf("%q, want one for each of %q", warnings, want)
	}
	for i, file := range want {
		if !strings.Contains(warnings[i], file+" ") {
			t.Errorf("%q, want it to name %s", warnings[i], file)
		}
	}
}

// TestMetricsServer serves the metrics and nothing else, until its context ends.
func TestMetricsServer(t *testing.T) {
	c := testConfig(t)
	c.MetricsAddr = "127.0.0.1:0"
	_, metrics := newRegistry("test")
	m, err := newMetricsServer(&c, metrics)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.run(ctx) }()
	for path, want := range map[string]int{"/metrics": http.StatusOK, "/api/v1/storage/destinations": http.StatusNotFound} {
		response, err := http.Get("http://" + m.listener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		if _ = response.Body.Close(); response.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, response.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	stop(errStopping)
	if err := <-done; !errors.Is(err, errStopping) {
		t.Error(err)
	}
	if err := m.close(); err != nil {
		t.Error(err)
	}
}
