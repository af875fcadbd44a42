package main

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"firescan/bench/bucketserver"
)

// mount makes dir a file system of its own, of a size that a test can fill.
func mount(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0700")
	if errors.Is(err, syscall.EPERM) {
		t.Skip("a file system that can be filled takes the right to mount one: run as root")
	}
	if err != nil {
		t.Fatalf("mount a file system on %s: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

// resize changes the size of what mount made.
func resize(t *testing.T, dir, size string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size="+size); err != nil {
		t.Fatalf("resize %s: %v", dir, err)
	}
}

// TestFullIndexDisk fills the file system of the index in the middle of a sync: that
// sync fails and says why, everything else is served on, and with room it works.
func TestFullIndexDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("runs nodes in processes of their own")
	}
	data := filepath.Join(t.TempDir(), "data")
	index := filepath.Join(data, "index")
	mount(t, index, "1m")
	p := serve(t, data)
	small := p.serveKeys(t, 1000, bucketserver.Options{})
	s := small.trySync(t, small.id)
	small.right(t, &s)

	large := p.serveKeys(t, 60_000, bucketserver.Options{})
	large.fails(t, large.id, "disk is full")
	small.right(t, nil)
	resize(t, index, "64m")
	s = large.trySync(t, large.id)
	large.right(t, &s)
	small.right(t, nil)
	// Nothing of the sync that failed takes room away.
	manifest, err := os.ReadFile(filepath.Join(index, large.id, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(index, large.id))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		id, segment := strings.CutSuffix(f.Name(), ".seg")
		if f.Name() != "manifest.json" && !(segment && strings.Contains(string(manifest), id)) {
			t.Errorf("%s is left and belongs to nothing", f.Name())
		}
	}
}

// TestFullDataDisk fills the file system of all that the node stores. Reads go on,
// writes are refused in bounded time as something to try again, and with room they
// work: nothing that was answered is lost.
func TestFullDataDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("runs nodes in processes of their own")
	}
	data := filepath.Join(t.TempDir(), "data")
	mount(t, data, "400m") // the log takes 64 MiB a file, in advance
	p := serve(t, data)
	c := p.serveKeys(t, 2000, bucketserver.Options{})
	s := c.trySync(t, c.id)
	c.right(t, &s)

	filler := filepath.Join(data, "filler")
	fill(t, filler)
	// The catalog has some pages free, so that it takes a while until it is in need.
	taken, refused := 0, error(nil)
	for refused == nil && taken < 5000 {
		if refused = p.putProject(t, taken); refused == nil {
			taken++
		}
	}
	t.Logf("%d writes were taken, then: %v", taken, refused)
	if !isCode(refused, "NO_LEADER") {
		t.Errorf("a write on a full disk: %v, want 503 NO_LEADER", refused)
	}
	c.right(t, nil)

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	await(t, "writes are taken again", func() bool { return p.putProject(t, taken) == nil })
	for i := range taken + 1 {
		if err := p.service.call(t.Context(), http.MethodGet, projectPath(i), nil, nil); err != nil {
			t.Fatalf("project %d, which was stored: %v", i, err)
		}
	}
	s = c.trySync(t, c.id)
	c.right(t, &s)

	c.end(t, syscall.SIGTERM)
	c.restart(t)
	c.right(t, nil)
}

// fill writes a file until its file system is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func projectPath(i int) string {
	return "/api/v1/catalog/projects/" + url.PathEscape(projectName(i))
}
