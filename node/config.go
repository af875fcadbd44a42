package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"time"

	"firescan/catalog"
	"firescan/provider"
)

// Config is what a node is started with. DefaultConfig gives the defaults.
type Config struct {
	// NodeID names the node for good; empty takes the name that the data directory
	// has, or the host's when it is new.
	NodeID string
	// DataDir holds all that the node stores. It is made if it does not exist, and
	// belongs to one process at a time.
	DataDir string
	// HTTPAddr is where the public API listens; port 0 takes a free one.
	HTTPAddr string
	// TLSCert and TLSKey are PEM files; with them the API is served over TLS only.
	TLSCert, TLSKey string

	// ClusterAddr and GossipAddr are where this node listens for others; port 0 takes a
	// free one. Without both, the node stays alone.
	ClusterAddr, GossipAddr string
	// AdvertiseHost is the host or address at which others reach this node; empty takes that
	// of the listeners, or the only one that the machine has.
	AdvertiseHost string
	// Join lists gossip addresses, host:port, of nodes to find the others through. They are
	// tried for ever.
	Join []string
	// BootstrapExpect is how many new nodes begin a cluster together. With 1, a new node
	// begins alone, or waits to be taken in when Join names others.
	BootstrapExpect int
	// ClusterCert, ClusterKey and ClusterCA are PEM files that replace the certificates for
	// the cluster port that are made from the secret. They are read again when they change.
	ClusterCert, ClusterKey, ClusterCA string
	// DeadAfter is how long a node must be gone before it loses its place in the group, as
	// long as three voters remain; negative is never.
	DeadAfter time.Duration

	// SecretFile holds the cluster secret; empty is cluster.secret in the data
	// directory, which is made when it is missing.
	SecretFile string
	// MasterKeyFile holds the key that the keyset for credentials is encrypted with;
	// empty derives it from the cluster secret.
	MasterKeyFile string
	// RootToken, when not empty, is made the root token.
	RootToken catalog.Secret

	// AllowEndpoints says where destinations may have endpoints of their own (see
	// provider.NewEgress). Without one only the providers' public hosts are reached.
	AllowEndpoints []string
	// GCSKeyDir is the directory in which destinations may name key files of Google's
	// service accounts; empty is none. Whoever may create destinations, of whatever
	// organisation, may use each of its keys.
	GCSKeyDir string
	// SyncEvery is how often a verified destination is synced unasked; 0 is never.
	SyncEvery time.Duration
	// OrphanMinAge is how old an orphan must be for a cleanup to delete it, unless the
	// request says otherwise.
	OrphanMinAge time.Duration
	// FreshFor is how long after a sync its result counts as fresh.
	FreshFor time.Duration
	// ReplicaBandwidth bounds what this node copies of other nodes' shards, in MiB a second;
	// 0 is no bound.
	ReplicaBandwidth int
	// replicaGrace is Grace of the replicator; 0 is the default. Tests shorten it.
	replicaGrace time.Duration
	// ScanStreams bounds the list requests that are under way at once.
	ScanStreams int

	// Logger is told what happens; required.
	Logger *slog.Logger
	// Version is shown to clients.
	Version string
}

// DefaultConfig is the configuration of a node about which nothing is said.
func DefaultConfig() Config {
	return Config{
		DataDir:  "./data",
		HTTPAddr: "127.0.0.1:8080",

		ClusterAddr:     "127.0.0.1:7400",
		GossipAddr:      "127.0.0.1:7401",
		BootstrapExpect: 1,
		DeadAfter:       10 * time.Minute,

		SyncEvery:    24 * time.Hour,
		OrphanMinAge: time.Hour,
		FreshFor:     time.Hour,
		ScanStreams:  64,
		Logger:       slog.New(slog.DiscardHandler),
		Version:      "devel",
	}
}

// maxStreams keeps a slip of the keyboard from opening a million connections.
const maxStreams = 4096

// Validate tells everything that is wrong with the configuration at once, by the names
// of the flags. It looks at nothing outside of it, such as files and ports.
func (c *Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.DataDir == "" {
		wrong("the data directory is not set: name one with --data-dir")
	}
	if _, _, err := net.SplitHostPort(c.HTTPAddr); err != nil {
		wrong("--http-addr %q is no host:port: %w", c.HTTPAddr, err)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		wrong("--http-tls-cert and --http-tls-key belong together: give both or none")
	}
	c.checkMembership(wrong)
	if c.ScanStreams < 1 || c.ScanStreams > maxStreams {
		wrong("--scan-streams is %d: give 1 to %d", c.ScanStreams, maxStreams)
	}
	if c.SyncEvery < 0 {
		wrong("--sync-every is %v: give a duration, or 0 for never", c.SyncEvery)
	}
	if c.OrphanMinAge < 0 {
		wrong("--orphan-min-age is %v: give a duration", c.OrphanMinAge)
	}
	if c.FreshFor < 0 {
		wrong("--fresh-for is %v: give a duration", c.FreshFor)
	}
	if egress, err := provider.NewEgress(c.AllowEndpoints); err != nil {
		wrong("--allow-endpoint: %w", err)
	} else {
		egress.Close()
	}
	if token := c.RootToken.Reveal(); token != "" && (len(token) < minRootToken || !validRootToken.MatchString(token)) {
		wrong("FIRESCAN_ROOT_TOKEN is no token that can be used: give at least %d letters, digits and -._~+/, such as `openssl rand -hex 32` makes", minRootToken)
	}
	return errors.Join(errs...)
}

// minRootToken is the length of a root token that cannot be guessed.
const minRootToken = 32

// validRootToken is what can be sent as a bearer token (RFC 6750, section 2.1), so that
// one with a blank in it is told at the start and not by a 401.
var validRootToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)
