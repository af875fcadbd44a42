// Package npmtest installs npm packages for tests.
package npmtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Install returns the directory node_modules with the packages of a package.json and its
// package-lock.json. It needs node and npm, and the first time the npm registry: later
// tests find the directory in the user's cache.
func Install(t testing.TB, manifest, lock []byte) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("this test needs node 18 or later and npm: install them (apt-get install nodejs npm): %v", err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(append(bytes.Clone(manifest), lock...))
	dir := filepath.Join(cache, "firescan-tests", "npm-"+hex.EncodeToString(hash[:8]))
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		t.Fatal(err)
	}
	// Install elsewhere and rename: another test may install at the same time.
	staging, err := os.MkdirTemp(filepath.Dir(dir), "installing-") //nolint:usetesting // renamed within one file system
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(staging) }()
	for name, content := range map[string][]byte{"package.json": manifest, "package-lock.json": lock} {
		if err := os.WriteFile(filepath.Join(staging, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = staging
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	if err := os.Rename(staging, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, made := os.Stat(modules); made != nil {
			t.Fatal(err)
		}
	}
	return modules
}
