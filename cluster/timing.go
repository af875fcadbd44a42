package cluster

import (
	"time"

	"github.com/hashicorp/raft"
)

// Timing is how fast nodes notice and do things. What is zero has its default.
type Timing struct {
	// Heartbeat is how long a follower hears nothing before it stands for election, and a
	// leader reaches no majority before it steps down. Less is sooner mistaken for a busy
	// machine: an import keeps disks and cores busy for half a second at a time. Default: 1.2 s.
	Heartbeat time.Duration
	// Probe is how often gossip looks at another node. Default: 1 s.
	Probe time.Duration
	// Tick is how often the nodes look at what they have to do. Default: 1 s.
	Tick time.Duration
	// Stable is how long a node must be well before it may vote. Default: 5 s.
	Stable time.Duration
	// Certificate is how long derived certificates are valid. Default: 24 h.
	Certificate time.Duration
	// Stall is how long a write of the log may take before a leader gives up. Default: 5 s.
	Stall time.Duration
}

func (t Timing) orDefaults() Timing {
	for _, f := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&t.Heartbeat, 1200 * time.Millisecond},
		{&t.Probe, time.Second},
		{&t.Tick, time.Second},
		{&t.Stable, 5 * time.Second},
		{&t.Certificate, certificateLife},
		{&t.Stall, 5 * time.Second},
	} {
		if *f.value == 0 {
			*f.value = f.or
		}
	}
	return t
}

// raftConfig holds the settings of raft, where they are not its own.
func raftConfig(id string, t Timing, logger *hclogger) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(id)
	c.Logger = logger.Named("raft")
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = t.Heartbeat, t.Heartbeat, t.Heartbeat
	c.CommitTimeout = 10 * time.Millisecond
	// Many small commands become one write of the log and one of the catalog. That
	// bounds its size, too: 64 of the largest commands are 32 MiB.
	c.MaxAppendEntries = 64
	c.BatchApplyCh = true
	// The catalog's own file is as durable as the log: what it holds is not restored
	// over it, and a snapshot costs next to nothing.
	c.NoSnapshotRestoreOnStart = true
	// It is taken often, since entries may be half a megabyte each. A follower that is
	// being sent a snapshot must find the log behind it when it is done: a bulk import
	// writes some 150 entries a second, and a large catalog takes half a minute.
	c.SnapshotThreshold = 1024
	c.SnapshotInterval = 10 * time.Second
	c.TrailingLogs = 4096
	// A node that was removed is told so, and stops as a whole.
	c.ShutdownOnRemove = false
	return c
}
