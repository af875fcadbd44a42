package cluster

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
)

func open(t *testing.T, id, dir string) (*catalog.Catalog, *Cluster, error) {
	t.Helper()
	logger, registry := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	cat, err := catalog.Open(filepath.Join(dir, "catalog.db"), catalog.Options{Logger: logger, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cat.Close() })
	c, err := Open(Config{ID: id, Dir: filepath.Join(dir, "raft"), Catalog: cat, Logger: logger, Registerer: registry})
	return cat, c, err
}

func TestLostLogIsDetected(t *testing.T) {
	dir := t.TempDir()
	m := start(t, dir)
	if _, err := m.Propose(t.Context(), project(1)); err != nil {
		t.Fatal(err)
	}
	m.shut()
	if err := os.RemoveAll(filepath.Join(dir, "raft")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := open(t, "n1", dir); err == nil || !strings.Contains(err.Error(), "put back the log") {
		t.Errorf("open a catalog without its log: %v", err)
	}
}

func TestForeignDataIsDetected(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).shut()
	if _, _, err := open(t, "n2", dir); err == nil || !strings.Contains(err.Error(), "n1") {
		t.Errorf("open the data of another node: %v", err)
	}
}
