package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
	"firescan/cluster/transport"
)

// Config is the configuration of a Cluster. Fields without a remark are required.
type Config struct {
	// ID is the id of this node; it must stay the same for its data directory.
	ID string
	// Dir holds the log, snapshot metadata and the identity of this node.
	Dir string
	// Catalog is the state machine that committed commands are applied to.
	Catalog    *catalog.Catalog
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	// ClusterAddr and GossipAddr are the host:port to listen on for other nodes; port 0 takes
	// a free one. When both are empty, no port is opened: the node is a cluster of one, and
	// the fields below are not needed.
	ClusterAddr, GossipAddr string
	// AdvertiseHost is the host that others reach this node at. Default: the host of the
	// listeners, or the only address of the machine.
	AdvertiseHost string
	// Join lists gossip addresses, host:port, of other nodes. They are tried until one
	// responds. Optional.
	Join []string
	// BootstrapExpect is the number of fresh nodes that form a cluster together. With 1 or
	// less a fresh node forms a cluster alone, or, with Join, waits to be admitted to one.
	BootstrapExpect int
	// Secrets are shared by the nodes of a cluster. The first is used, and the others are
	// accepted: see Cluster.UseSecrets.
	Secrets [][]byte
	// Certificates replace the ones derived from Secret; optional.
	Certificates transport.CertFiles
	// AllowNames are patterns of names that Certificates may have instead of the id; optional.
	AllowNames []string
	// HTTPAddress, host:port of the API of this node, and Version are shown to other nodes.
	HTTPAddress, Version string
	// Shards returns the number of shards that this node holds; optional.
	Shards func() int
	// DeadAfter is how long a node must be unreachable before it is removed, while at least
	// three voters remain. Default: 10 min; negative: never.
	DeadAfter time.Duration
	// Timing is for tests; the zero value is for real networks.
	Timing Timing
	faults faults
}

// faults are for tests. The zero value injects none.
type faults struct {
	// dialer replaces net.Dialer.DialContext.
	dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// lost reports whether packets to the address are dropped.
	lost func(address string) bool
	// segment is the size of log files, so that old entries are deleted early.
	segment int
	// applying runs before commands are applied.
	applying func()
}

// Timing configures timeouts and intervals. Zero values mean the default.
type Timing struct {
	// Heartbeat is how long a follower waits for the leader before it stands for election,
	// and a leader for a majority before it steps down. Shorter values mistake busy machines
	// for dead ones: an import blocks disks and cores for half a second. Default: 1.2 s.
	Heartbeat time.Duration
	// Probe is the interval of gossip probes. Default: 1 s.
	Probe time.Duration
	// Tick is the interval of background work. Default: 1 s.
	Tick time.Duration
	// Stable is how long a node must be healthy before it may vote. Default: 5 s.
	Stable time.Duration
	// Certificate is the lifetime of derived certificates. Default: 24 h.
	Certificate time.Duration
	// Stall is how long a write of the log may take before a leader stops. Default: 5 s.
	Stall time.Duration
}

func (t Timing) withDefaults() Timing {
	for _, f := range []struct {
		value        *time.Duration
		defaultValue time.Duration
	}{
		{&t.Heartbeat, 1200 * time.Millisecond},
		{&t.Probe, time.Second},
		{&t.Tick, time.Second},
		{&t.Stable, 5 * time.Second},
		{&t.Certificate, 24 * time.Hour},
		{&t.Stall, 5 * time.Second},
	} {
		if *f.value == 0 {
			*f.value = f.defaultValue
		}
	}
	return t
}

// alone reports whether the node has no ports for other nodes.
func (c *Config) alone() bool { return c.ClusterAddr == "" && c.GossipAddr == "" }

// credentials returns the certificates of this node.
func (c *Config) credentials() (transport.Credentials, error) {
	if c.Certificates == (transport.CertFiles{}) {
		return transport.NewIssuer(c.Secrets, c.ID, c.Timing.Certificate)
	}
	files, err := transport.NewReloader(c.Certificates, c.Logger)
	if err != nil {
		return nil, fmt.Errorf("load --cluster-cert, --cluster-key and --cluster-ca: %w", err)
	}
	return files, nil
}

// advertisedHost returns the host that other nodes reach this one at.
func (c *Config) advertisedHost() (string, error) {
	if c.AdvertiseHost != "" {
		return c.AdvertiseHost, nil
	}
	for _, address := range []string{c.ClusterAddr, c.GossipAddr} {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return "", fmt.Errorf("parse the address %q for other nodes: %w", address, err)
		}
		if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
			return host, nil
		}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("list the addresses of this machine: %w", err)
	}
	var found []string
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			found = append(found, n.IP.String())
		}
	}
	if len(found) != 1 {
		return "", errors.New("cannot choose an address for other nodes: set --advertise-host")
	}
	return found[0], nil
}

// raftConfig returns Raft's configuration.
func (c *Config) raftConfig(logger *hclogger) *raft.Config {
	r := raft.DefaultConfig()
	r.LocalID = raft.ServerID(c.ID)
	r.Logger = logger.Named("raft")
	r.HeartbeatTimeout, r.ElectionTimeout, r.LeaderLeaseTimeout = c.Timing.Heartbeat, c.Timing.Heartbeat, c.Timing.Heartbeat
	r.CommitTimeout = 10 * time.Millisecond
	// Many small commands become one write of the log and one of the catalog. This bounds
	// its size, too: 64 of the largest commands are 32 MiB.
	r.MaxAppendEntries = 64
	r.BatchApplyCh = true
	// The catalog's file is as durable as the log: it is not restored from a snapshot on
	// start, and a snapshot costs next to nothing.
	r.NoSnapshotRestoreOnStart = true
	// Snapshots are frequent, since entries may be half a megabyte each. A follower that
	// receives one needs the log behind it when it is done: a bulk import writes some 150
	// entries a second, and a large catalog takes half a minute.
	r.SnapshotThreshold = 1024
	r.SnapshotInterval = 10 * time.Second
	r.TrailingLogs = 4096
	// A removed node is notified, and stops as a whole.
	r.ShutdownOnRemove = false
	return r
}

// raftServer returns a voter as Raft knows it: its address is its id.
func raftServer(id string) raft.Server {
	return raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)}
}
