package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDataDirIsOnesOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "data")
	d, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != privateDir {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := openDataDir(path); err == nil || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("a second process opened it: %v", err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openDataDir(path)
	if err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	if err := again.close(); err != nil {
		t.Fatal(err)
	}
}

func TestNodeKeepsItsName(t *testing.T) {
	for _, c := range []struct{ first, second, want, wrong string }{
		{"n1", "", "n1", ""},
		{"n1", "n1", "n1", ""},
		{"n1", "n2", "", `belongs to node "n1"`},
		{"", "", hostID(), ""},
	} {
		d := &dataDir{path: t.TempDir()}
		if _, err := d.nodeID(c.first); err != nil {
			t.Fatal(err)
		}
		got, err := d.nodeID(c.second)
		if got != c.want || (c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong))) || (c.wrong == "" && err != nil) {
			t.Errorf("started as %q, then as %q: %q, %v", c.first, c.second, got, err)
		}
	}
	for _, bad := range []string{"-x", "a b", "ä", strings.Repeat("x", 64)} {
		if _, err := (&dataDir{path: t.TempDir()}).nodeID(bad); err == nil {
			t.Errorf("%q was taken for a name", bad)
		}
	}
}

func TestWriteFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for _, text := range []string{"one", "two"} {
		if err := writeFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("read %q, %v", got, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != privateFile {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, err := filepath.Glob(path + ".new-*"); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
}

func TestDataDirThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, privateFile); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "data"), "/proc/self/data"} {
		if _, err := openDataDir(path); err == nil || !strings.Contains(err.Error(), "--data-dir") {
			t.Errorf("%s: %v, want an error that names the flag", path, err)
		}
	}
}
