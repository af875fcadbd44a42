package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"strings"

	"github.com/hashicorp/memberlist"
	"google.golang.org/protobuf/proto"

	cpb "firescan/cluster/clusterpb"
	"firescan/cluster/transport"
)

// gossipDelegate receives the events of memberlist.
type gossipDelegate struct{ gossip *gossip }

// NotifyJoin implements memberlist.EventDelegate.
func (d gossipDelegate) NotifyJoin(n *memberlist.Node) { d.gossip.record(n, true) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d gossipDelegate) NotifyUpdate(n *memberlist.Node) { d.gossip.record(n, true) }

// NotifyLeave implements memberlist.EventDelegate.
func (d gossipDelegate) NotifyLeave(n *memberlist.Node) { d.gossip.record(n, false) }

// NotifyAlive implements memberlist.AliveDelegate: it rejects nodes of other clusters.
func (d gossipDelegate) NotifyAlive(n *memberlist.Node) error {
	if n.Name == d.gossip.id {
		return nil
	}
	meta, err := decodeMetadata(n.Meta)
	if err != nil {
		return fmt.Errorf("decode its gossip metadata: %w", err)
	}
	return d.gossip.accept(n.Name, meta)
}

// NotifyMerge implements memberlist.MergeDelegate: it keeps two clusters apart. Both sides
// get the error.
func (d gossipDelegate) NotifyMerge(nodes []*memberlist.Node) error {
	for _, n := range nodes {
		if err := d.NotifyAlive(n); err != nil {
			return err
		}
	}
	return nil
}

// NotifyConflict implements memberlist.ConflictDelegate.
func (d gossipDelegate) NotifyConflict(existing, other *memberlist.Node) {
	if d.gossip.limit.Allow("conflict " + existing.Name) {
		d.gossip.logger.Error("a node changed its address: if it was not restarted there, two nodes have the same id and one of them needs another",
			"id", existing.Name, "address", existing.Address(), "other", other.Address())
	}
}

// NodeMeta implements memberlist.Delegate.
func (d gossipDelegate) NodeMeta(limit int) []byte {
	meta := d.gossip.metadata()
	d.gossip.mu.Lock()
	meta.Leaving = d.gossip.leaving
	d.gossip.mu.Unlock()
	data, err := proto.Marshal(meta)
	if err != nil || len(data) > limit {
		// Open has checked the parts of unbounded length.
		d.gossip.logger.Error("this node's metadata is too long for gossip", "bytes", len(data), "limit", limit, "error", err)
		return nil
	}
	return data
}

// NotifyMsg implements memberlist.Delegate; there are no messages.
func (gossipDelegate) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (gossipDelegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (gossipDelegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (gossipDelegate) MergeRemoteState([]byte, bool) {}

func decodeMetadata(data []byte) (*cpb.NodeMeta, error) {
	meta := &cpb.NodeMeta{}
	return meta, proto.Unmarshal(data, meta)
}

// decryptionErrors are parts of memberlist's errors for messages that are encrypted with
// another key, or not at all.
var decryptionErrors = []string{"No installed keys could decrypt", "decrypt", "not encrypted", "is encrypted"}

// explainDecryption adds the likely cause to memberlist's errors about encryption.
func explainDecryption(err error) error {
	for _, text := range decryptionErrors {
		if strings.Contains(err.Error(), text) {
			return fmt.Errorf("%w: %w", transport.ErrOtherSecret, err)
		}
	}
	return err
}

// gossipLog writes the log of memberlist to slog.
type gossipLog struct{ gossip *gossip }

func newGossipLogger(g *gossip) *log.Logger { return log.New(gossipLog{g}, "", 0) }

// Write implements io.Writer for log.Logger, which writes a line at a time.
func (l gossipLog) Write(line []byte) (int, error) {
	// The warnings of memberlist are about failures that gossip handles, so they are logged
	// at debug level.
	text := string(bytes.TrimSpace(line))
	level, rest, found := strings.Cut(text, " memberlist: ")
	if found {
		text = rest
	}
	if strings.Contains(text, transport.ErrTooManyBytes.Error()) && l.gossip.limit.Allow("bytes") {
		l.gossip.logger.Warn("gossip message refused", "error", text)
		return len(line), nil
	}
	if level == "[ERR]" && errors.Is(explainDecryption(errors.New(text)), transport.ErrOtherSecret) {
		// The text ends with the address: one line a minute for each host.
		_, from, _ := strings.Cut(text, "from=")
		if host, _, err := net.SplitHostPort(from); err == nil {
			from = host
		}
		if l.gossip.limit.Allow("secret " + from) {
			l.gossip.logger.Warn("gossip of another node refused: it has another cluster secret than this one", "from", from, "error", text)
		}
		return len(line), nil
	}
	l.gossip.logger.Log(context.Background(), slog.LevelDebug, text, "part", "gossip")
	return len(line), nil
}
