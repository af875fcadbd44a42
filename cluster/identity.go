package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// identityName is the name of the identity file, beside the log.
const identityName = "identity.json"

// The stages of a node on its way into a cluster. Only candidates and members take part in
// Raft: a node that may have voted, and lost its disk, must not vote again before the
// leader has removed and added it again.
const (
	stageFresh        = ""         // belongs to no cluster
	stageBootstrapper = "founding" // collects promises for a new cluster
	stageCandidate    = "promised" // has promised to join a new cluster
	stageMember       = "member"   // belongs to its cluster for good
)

// stageNames describe the stages in messages.
var stageNames = map[string]string{
	stageFresh: "not in a cluster", stageBootstrapper: "bootstrapping a cluster itself",
	stageCandidate: "a candidate for a new cluster", stageMember: "a member of a cluster",
}

// identity is the durable state of a data directory in relation to other nodes.
type identity struct {
	Node string `json:"node"`
	// Instance identifies this data directory: a node with a new disk has another one.
	Instance string `json:"instance"`
	Stage    string `json:"stage"`
	// Cluster is the id of the cluster, which is that of the bootstrap attempt.
	Cluster string `json:"cluster,omitempty"`
	// Founder is the node that a candidate has given its promise to.
	Founder string `json:"founder,omitempty"`
	// Removed is set when an operator has removed this node from its cluster.
	Removed bool `json:"removed,omitempty"`
	// Dismissed are the instances of other nodes that an operator removed: they are not
	// added again.
	Dismissed []string `json:"dismissed,omitempty"`
	// Others are the last known addresses of other members, so that a node finds them after
	// a restart, or when gossip has forgotten them.
	Others map[string]addresses `json:"others,omitempty"`
}

// addresses are the addresses of a node, host:port.
type addresses struct {
	Cluster string `json:"cluster"`
	Gossip  string `json:"gossip"`
}

func (i identity) clone() identity {
	i.Dismissed, i.Others = slices.Clone(i.Dismissed), maps.Clone(i.Others)
	return i
}

// identityFile keeps the identity in a file. It is safe for concurrent use.
type identityFile struct {
	path    string
	mu      sync.Mutex
	current identity
}

// openIdentity reads the identity in dir. A directory without one is new, or, when its log
// has entries, that of a node that ran alone before there were clusters.
func openIdentity(dir, node string, hasLog bool) (*identityFile, error) {
	f := &identityFile{path: filepath.Join(dir, identityName)}
	data, err := os.ReadFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return f, f.update(func(i *identity) error {
			*i = identity{Node: node, Instance: randomID(), Stage: stageFresh}
			if hasLog {
				i.Stage, i.Cluster = stageMember, randomID()
			}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read the identity of this node: %w", err)
	}
	if err := json.Unmarshal(data, &f.current); err != nil {
		return nil, fmt.Errorf("parse the identity of this node in %s: %w", f.path, err)
	}
	switch {
	case f.current.Node != node:
		return nil, fmt.Errorf("the data in %s belongs to node %q, not to %q: start it with its own id", dir, f.current.Node, node)
	case f.current.Removed:
		return nil, fmt.Errorf("node %q was removed from its cluster: to let it join again, remove its data directory first", node)
	case f.current.Stage == stageBootstrapper && !hasLog:
		// The attempt ended before the cluster was created; candidates ask for it, and are released.
		return f, f.update(func(i *identity) error {
			i.Stage, i.Cluster = stageFresh, ""
			return nil
		})
	case hasLog && f.current.Stage != stageMember:
		// The node stopped after the first log entry and before it was recorded as a member.
		return f, f.update(func(i *identity) error {
			i.Stage = stageMember
			return nil
		})
	}
	return f, nil
}

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func (f *identityFile) get() identity {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current.clone()
}

// update changes the identity durably. When change returns an error, nothing changes.
func (f *identityFile) update(change func(*identity) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.current.clone()
	if err := change(&next); err != nil {
		return err
	}
	data, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the identity of this node: %w", err)
	}
	if err := writeFile(f.path, append(data, '\n')); err != nil {
		return fmt.Errorf("write the identity of this node: %w", err)
	}
	f.current = next
	return nil
}
