package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"

	"firescan/catalog"
)

const (
	metaFile = "snapshot.json"
	// receivedPrefix and the snapshot's id name a snapshot from another node; incomplete is
	// its name until it is complete.
	receivedPrefix = "snapshot.received-"
	incomplete     = "snapshot.arriving"
)

// snapshots stores the metadata of the newest snapshot only. Its content is the catalog
// itself, streamed when a follower needs it. That may be newer than the metadata, and the
// catalog skips entries that it has applied already.
//
// A snapshot from another node has separate content until it is restored.
type snapshots struct {
	dir     string
	catalog *catalog.Catalog
	mu      sync.Mutex // held while the metadata is changed
}

var _ raft.SnapshotStore = (*snapshots)(nil)

func openSnapshots(dir string, c *catalog.Catalog) (*snapshots, error) {
	s := &snapshots{dir: dir, catalog: c}
	return s, s.resume()
}

// resume restores a received snapshot when the node stopped before it had done so: Raft
// takes a snapshot for applied as soon as it has metadata. Without metadata it is sent again.
func (s *snapshots) resume() error {
	metas, err := s.List()
	if err != nil {
		return err
	}
	if len(metas) > 0 {
		received, err := os.Open(s.receivedPath(metas[0].ID))
		if err == nil {
			err = errors.Join(s.catalog.Restore(received), received.Close())
		}
		if err == nil {
			return s.restored()
		}
		if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("restore the catalog from a received snapshot: %w", err)
		}
	}
	return s.removeReceived()
}

// restored records how far the restored catalog is, which may be further than the log (see
// logStore.checkComplete), and removes the received snapshot.
func (s *snapshots) restored() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.metadata()
	if err != nil {
		return err
	}
	if applied := s.catalog.AppliedIndex(); m.SnapshotMeta.ID != "" && applied > m.Reached {
		m.Reached = applied
		if err := s.write(m); err != nil {
			return err
		}
	}
	return s.removeReceived()
}

// reach records that the catalog is about to be replaced by one that was received from
// another node and is at index.
func (s *snapshots) reach(index uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.metadata()
	if err != nil || index <= m.Reached {
		return err
	}
	m.Reached = index
	return s.write(m)
}

func (s *snapshots) receivedPath(id string) string { return filepath.Join(s.dir, receivedPrefix+id) }

func (s *snapshots) removeReceived() error {
	files, err := filepath.Glob(filepath.Join(s.dir, receivedPrefix+"*"))
	if err != nil {
		return fmt.Errorf("list received snapshots: %w", err)
	}
	for _, file := range append(files, filepath.Join(s.dir, incomplete)) {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove a received snapshot: %w", err)
		}
	}
	return nil
}

// Create implements raft.SnapshotStore.
func (s *snapshots) Create(version raft.SnapshotVersion, index, term uint64, members raft.Configuration, membersIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &sink{store: s, meta: raft.SnapshotMeta{
		Version: version, ID: fmt.Sprintf("%d-%d", term, index), Index: index, Term: term,
		Configuration: members, ConfigurationIndex: membersIndex,
	}}, nil
}

// metadata is the stored part of a snapshot.
type metadata struct {
	raft.SnapshotMeta
	// Reached is the applied index of the newest catalog that was received with a snapshot.
	Reached uint64 `json:",omitempty"`
}

// metadata returns the metadata of the newest snapshot; its ID is empty without one.
func (s *snapshots) metadata() (m metadata, err error) {
	data, err := os.ReadFile(filepath.Join(s.dir, metaFile))
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("read the snapshot metadata: %w", err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("parse the snapshot metadata in %s: %w", s.dir, err)
	}
	return m, nil
}

func (s *snapshots) write(m metadata) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode the snapshot metadata: %w", err)
	}
	if err := writeFile(filepath.Join(s.dir, metaFile), data); err != nil {
		return fmt.Errorf("write the snapshot metadata: %w", err)
	}
	return nil
}

// List implements raft.SnapshotStore.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	m, err := s.metadata()
	if err != nil || m.ID == "" {
		return nil, err
	}
	return []*raft.SnapshotMeta{&m.SnapshotMeta}, nil
}

// Open implements raft.SnapshotStore.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	all, err := s.List()
	if err != nil {
		return nil, nil, err
	}
	if len(all) == 0 || all[0].ID != id {
		return nil, nil, fmt.Errorf("snapshot %s does not exist", id)
	}
	received, err := os.Open(s.receivedPath(id))
	if err == nil {
		return all[0], received, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("open a received snapshot: %w", err)
	}
	content, err := s.copyCatalog()
	if err != nil {
		return nil, nil, err
	}
	info, err := content.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, content.Close())
	}
	// Raft sends the size first, so it must be known.
	meta := *all[0]
	meta.Size = info.Size()
	return &meta, content, nil
}

// copyCatalog copies the catalog to an unlinked file.
func (s *snapshots) copyCatalog() (_ *os.File, err error) {
	snapshot, err := s.catalog.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("take a snapshot of the catalog: %w", err)
	}
	defer snapshot.Release()
	f, err := os.CreateTemp(s.dir, "snapshot.sending-*")
	if err != nil {
		return nil, fmt.Errorf("copy the catalog to send it: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("copy the catalog to send it: %w", err)
	}
	if _, err := snapshot.WriteTo(f); err != nil {
		return nil, fmt.Errorf("copy the catalog to send it: %w", err)
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// sink stores a snapshot: its metadata, and its content when another node sends it.
type sink struct {
	store   *snapshots
	meta    raft.SnapshotMeta
	content *os.File
	closed  bool
}

var _ raft.SnapshotSink = (*sink)(nil)

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	if s.content == nil {
		f, err := os.OpenFile(filepath.Join(s.store.dir, incomplete), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, fmt.Errorf("receive a snapshot: %w", err)
		}
		s.content = f
	}
	n, err := s.content.Write(p)
	s.meta.Size += int64(n)
	return n, err
}

// Close implements io.Closer: the snapshot is complete.
func (s *sink) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if s.content != nil {
		if err := errors.Join(s.content.Sync(), s.content.Close()); err != nil {
			return fmt.Errorf("receive a snapshot: %w", err)
		}
		// The content must be in place before the metadata (see resume).
		if err := os.Rename(s.content.Name(), s.store.receivedPath(s.meta.ID)); err != nil {
			return fmt.Errorf("receive a snapshot: %w", err)
		}
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	before, err := s.store.metadata()
	if err != nil {
		return err
	}
	return s.store.write(metadata{s.meta, before.Reached})
}

// ID implements raft.SnapshotSink.
func (s *sink) ID() string { return s.meta.ID }

// Cancel implements raft.SnapshotSink.
func (s *sink) Cancel() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if s.content == nil {
		return nil
	}
	return errors.Join(s.content.Close(), s.store.removeReceived())
}
