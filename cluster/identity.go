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

// identityFile lies beside the log.
const identityFile = "identity.json"

// The stages of a node on its way into a cluster. Only promised and member take part in
// raft: a node that may have voted, and lost its disk, must not vote again before the
// leader has taken it out of the group and in again.
const (
	stageFresh    = ""         // belongs to no cluster
	stageFounding = "founding" // asks others for their promise
	stagePromised = "promised" // waits for the founder to begin
	stageMember   = "member"   // belongs to its cluster for good
)

// identity is what a data directory remembers about its place among others.
type identity struct {
	Node string `json:"node"`
	// Instance names this data directory: a node with a new disk has another one.
	Instance string `json:"instance"`
	Stage    string `json:"stage"`
	// Cluster was made when the cluster was founded.
	Cluster string `json:"cluster,omitempty"`
	// Founder is who asked for the promise.
	Founder string `json:"founder,omitempty"`
	// Removed tells that an operator took this node out of its cluster.
	Removed bool `json:"removed,omitempty"`
	// Dismissed are the instances of other nodes that an operator removed: should one come
	// back, it is not taken in again.
	Dismissed []string `json:"dismissed,omitempty"`
	// Others is where other members were last heard of, so that a node finds them again
	// after a restart, or when it was cut off for so long that gossip forgot it.
	Others map[string]whereabouts `json:"others,omitempty"`
}

// whereabouts are the addresses of a node, host:port.
type whereabouts struct {
	Cluster string `json:"cluster"`
	Gossip  string `json:"gossip"`
}

func (i identity) clone() identity {
	i.Dismissed, i.Others = slices.Clone(i.Dismissed), maps.Clone(i.Others)
	return i
}

// maxDismissed bounds what is remembered of removed nodes.
const maxDismissed = 100

// identities keeps the identity in its file. It is safe for concurrent use.
type identities struct {
	file string
	mu   sync.Mutex
	now  identity
}

// openIdentity reads the identity of a directory. One that has none is new, or, when its
// log has entries, of a node that ran alone before there were clusters: it is given one.
func openIdentity(dir, node string, hasLog bool) (*identities, error) {
	s := &identities{file: filepath.Join(dir, identityFile)}
	data, err := os.ReadFile(s.file)
	if errors.Is(err, os.ErrNotExist) {
		return s, s.update(func(i *identity) error {
			*i = identity{Node: node, Instance: randomID(), Stage: stageFresh}
			if hasLog {
				i.Stage, i.Cluster = stageMember, randomID()
			}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read who this node is: %w", err)
	}
	if err := json.Unmarshal(data, &s.now); err != nil {
		return nil, fmt.Errorf("read who this node is from %s: %w", s.file, err)
	}
	switch {
	case s.now.Node != node:
		return nil, fmt.Errorf("the data in %s is that of node %q, not of %q: start it with the id that it had", dir, s.now.Node, node)
	case s.now.Removed:
		return nil, fmt.Errorf("node %q was removed from its cluster: to let it join again, remove its data directory first", node)
	case s.now.Stage == stageFounding && !hasLog:
		// The attempt was cut short before it began anything; those who promised ask, and hear so.
		return s, s.update(func(i *identity) error {
			i.Stage, i.Cluster = stageFresh, ""
			return nil
		})
	case hasLog && s.now.Stage != stageMember:
		// It stopped between the first entry of the log and the note that it is a member.
		return s, s.update(func(i *identity) error {
			i.Stage = stageMember
			return nil
		})
	}
	return s, nil
}

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func (s *identities) get() identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.clone()
}

// update changes the identity, durably before it returns. When change fails, nothing is
// changed.
func (s *identities) update(change func(*identity) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.now.clone()
	if err := change(&next); err != nil {
		return err
	}
	data, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("write who this node is: %w", err)
	}
	if err := replace(s.file, append(data, '\n')); err != nil {
		return fmt.Errorf("write who this node is: %w", err)
	}
	s.now = next
	return nil
}

// becomeMember notes that this node belongs to a cluster for good.
func (c *Cluster) becomeMember(cluster string) error {
	err := c.identity.update(func(i *identity) error {
		if i.Cluster != "" && i.Cluster != cluster {
			return fmt.Errorf("node %s has promised itself to cluster %s", i.Node, i.Cluster)
		}
		i.Stage, i.Cluster, i.Founder = stageMember, cluster, ""
		return nil
	})
	if err == nil {
		c.logger.Info("this node belongs to a cluster now", "cluster", cluster)
		c.tellGossip()
	}
	return err
}
