package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
)

// The files of a data directory, and their modes.
const (
	lockFile       = "lock"
	idFile         = "node.id"
	catalogFile    = "catalog.db"
	raftDir        = "raft"
	indexDir       = "index"
	secretFile     = "cluster.secret"
	rootTokenFile  = "root.token"
	recoverFile    = "root.recover"
	privateFile    = 0o600
	privateDir     = 0o700
	fallbackNodeID = "node-1"
)

// dataDir is a data directory, locked by this process.
type dataDir struct {
	path string
	lock *flock.Flock
}

// openDataDir creates the directory if necessary and locks it. Only its owner may read it:
// it has keys.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, privateDir); err != nil {
		return nil, fmt.Errorf("create the data directory: %w (choose a directory that this user can write to with --data-dir)", err)
	}
	if err := os.Chmod(path, privateDir); err != nil {
		return nil, fmt.Errorf("restrict the data directory to its owner: %w (does it belong to this user?)", err)
	}
	lock := flock.New(filepath.Join(path, lockFile), flock.SetPermissions(privateFile))
	got, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data directory %s: %w (can this user write to it? choose another with --data-dir)", path, err)
	}
	if !got {
		return nil, fmt.Errorf("the data directory %s is in use by another firescan: stop it, or give this node its own --data-dir", path)
	}
	return &dataDir{path: path, lock: lock}, nil
}

func (d *dataDir) join(name string) string { return filepath.Join(d.path, name) }

func (d *dataDir) close() error { return d.lock.Unlock() }

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// nodeID returns the name stored in the directory, or stores one: a member of the cluster
// keeps its name when its host is renamed.
func (d *dataDir) nodeID(wanted string) (string, error) {
	file := d.join(idFile)
	data, err := os.ReadFile(file)
	stored := strings.TrimSpace(string(data))
	switch {
	case err == nil && (wanted == "" || wanted == stored):
		return stored, nil
	case err == nil:
		return "", fmt.Errorf("the data directory %s belongs to node %q, not %q: start it with --node-id %s, or give the new node its own --data-dir", d.path, stored, wanted, stored)
	case !errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("read the node's name: %w", err)
	}
	if wanted == "" {
		wanted = hostID()
	}
	if !validID.MatchString(wanted) {
		return "", fmt.Errorf("--node-id %q is not a valid name of a node: use up to 63 letters, digits, dots, dashes and underscores", wanted)
	}
	return wanted, writeFile(file, []byte(wanted+"\n"))
}

func hostID() string {
	if name, err := os.Hostname(); err == nil && validID.MatchString(name) {
		return name
	}
	return fallbackNodeID
}

// writeFile writes a private file atomically and durably.
func writeFile(path string, data []byte) error {
	if err := renameio.WriteFile(path, data, privateFile, renameio.WithTempDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
