package deploy_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tool returns the path of promtool or prometheus: from PATH, or unpacked from Debian's
// package into the user's cache directory, which needs no root.
func tool(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "firescan-test", "prometheus")
	path := filepath.Join(dir, "usr", "bin", name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		err = unpack(dir)
		if err != nil {
			t.Fatalf("find %s: not in PATH (install it from https://prometheus.io/download), and unpacking Debian's package failed: %v", name, err)
		}
	}
	return path
}

// unpack downloads Debian's package and moves its files to dir with one rename.
func unpack(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(filepath.Dir(dir), "prometheus-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	for _, line := range []string{"apt-get download prometheus || { apt-get update && apt-get download prometheus; }", "dpkg-deb -x prometheus_*.deb files"} {
		c := exec.Command("sh", "-c", line)
		c.Dir = aside
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	if err := os.Rename(filepath.Join(aside, "files"), dir); err != nil && !errors.Is(err, os.ErrExist) {
		if _, there := os.Stat(dir); there != nil { // not created by another test process
			return err
		}
	}
	return nil
}
