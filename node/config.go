package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path"
	"regexp"
	"strings"
	"time"

	"firescan/api"
	"firescan/catalog"
	"firescan/deletion"
)

// Config is the configuration of a node. DefaultConfig returns the defaults.
type Config struct {
	// NodeID is the permanent name of the node. If empty, it is the name stored in the data
	// directory, or the host name for a new directory.
	NodeID string
	// DataDir has all data of the node. It is created if it does not exist, and locked by
	// one process at a time.
	DataDir string
	// HTTPAddr is the listen address of the public API; port 0 chooses a free port.
	HTTPAddr string
	// MetricsAddr is the listen address of a separate listener for /metrics, without tokens
	// and TLS. If empty, metrics are on HTTPAddr: for clients on the same machine, and for
	// others with a token.
	MetricsAddr string
	// TLSCert and TLSKey are PEM files. If set, the API is served over TLS only.
	TLSCert, TLSKey string

	// ClusterAddr and GossipAddr are the listen addresses for other nodes; port 0 chooses a
	// free port. Without both, the node stays alone.
	ClusterAddr, GossipAddr string
	// AdvertiseHost is the host name or address at which other nodes reach this one. If
	// empty, it is that of the listeners, or the only one of the machine.
	AdvertiseHost string
	// Join lists gossip addresses (host:port) of other nodes. They are tried without end.
	Join []string
	// BootstrapExpect is the number of new nodes that form a cluster together. With 1, a new
	// node forms one alone, or waits to be admitted if Join is set.
	BootstrapExpect int
	// ClusterCert, ClusterKey and ClusterCA are PEM files for the cluster port. They replace
	// the certificates derived from the secret, and are reloaded when they change.
	ClusterCert, ClusterKey, ClusterCA string
	// ClusterAllowNames are patterns of names that certificates for the cluster port may have
	// instead of the id of a node.
	ClusterAllowNames []string
	// DeadAfter is how long a node must be gone until it is removed from the cluster, if
	// three voters remain; negative means never.
	DeadAfter time.Duration

	// SecretFile has the cluster secret. The default is cluster.secret in the data directory,
	// which is created if it is missing.
	SecretFile string
	// MasterKeyFile has the key that encrypts the keyset for credentials. If empty, the key
	// is derived from the cluster secret.
	MasterKeyFile string
	// RootToken, if not empty, becomes the root token.
	RootToken catalog.Secret

	// AllowEndpoints lists the allowed custom endpoints of destinations (see
	// provider.EgressConfig). Without any, only the public hosts of providers are allowed.
	AllowEndpoints []string
	// EgressProxy is the URL of an HTTP proxy for all requests to providers; empty for none.
	// It may have a password, so it is never logged.
	EgressProxy string
	// ProviderCAFile has certificates (PEM) of CAs that providers may have besides those of
	// the system. It is read at the start.
	ProviderCAFile string
	// GCSKeyDir has a directory per organization, named by its id, with the key files of
	// Google service accounts that its destinations may name; empty means none. Anyone who may
	// create destinations in an organization can use all keys of its directory.
	GCSKeyDir string
	// SyncEvery is the interval of scheduled syncs of a verified destination; 0 means none.
	SyncEvery time.Duration
	// OrphanMinAge is the minimum age of orphans that a cleanup deletes (overridden by minAge
	// of the request).
	OrphanMinAge time.Duration
	// Guards are the limits above which a cleanup must be confirmed.
	Guards deletion.Thresholds
	// FreshFor is how long the result of a sync counts as fresh.
	FreshFor time.Duration
	// ReplicaBandwidth is the maximum replication bandwidth in MiB/s (0 = unlimited).
	ReplicaBandwidth int
	// replicaGrace is Grace of the replicator; 0 is the default. Tests shorten it.
	replicaGrace time.Duration
	// ScanStreams is the maximum number of concurrent list requests.
	ScanStreams int

	// AllowOrigins are origins of web pages that may use the API beside its own, as patterns
	// such as https://*.example.com, or * for all.
	AllowOrigins []string
	// Limits are the quotas of tenants and strangers.
	Limits api.Limits
	// TrustedProxies lists addresses and networks of load balancers whose X-Forwarded-For
	// names the client.
	TrustedProxies []string

	// Logger is required.
	Logger *slog.Logger
	// Version is shown to clients.
	Version string
}

// DefaultConfig returns the default configuration.
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
		Guards:       deletion.DefaultThresholds(),
		FreshFor:     time.Hour,
		ScanStreams:  64,
		Limits:       api.DefaultLimits(),
		Logger:       slog.New(slog.DiscardHandler),
		Version:      "devel",
	}
}

// maxStreams protects against a typing error that would open a million connections.
const maxStreams = 4096

// Validate returns all errors of the configuration, by the names of the flags. It does not
// check files or ports.
func (c *Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.DataDir == "" {
		wrong("the data directory is not set: set --data-dir")
	}
	if _, _, err := net.SplitHostPort(c.HTTPAddr); err != nil {
		wrong("--http-addr %q is not a host:port: %w", c.HTTPAddr, err)
	}
	if _, _, err := net.SplitHostPort(c.MetricsAddr); c.MetricsAddr != "" && err != nil {
		wrong("--metrics-addr %q is not a host:port: %w", c.MetricsAddr, err)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		wrong("--http-tls-cert and --http-tls-key must be given together, or not at all")
	}
	c.checkMembership(wrong)
	c.checkLimits(wrong)
	if c.ScanStreams < 1 || c.ScanStreams > maxStreams {
		wrong("--scan-streams is %d: give 1 to %d", c.ScanStreams, maxStreams)
	}
	if c.SyncEvery < 0 {
		wrong("--sync-every is %v: give a duration, or 0 for never", c.SyncEvery)
	}
	if c.OrphanMinAge < 0 {
		wrong("--orphan-min-age is %v: give a duration", c.OrphanMinAge)
	}
	if p := c.Guards.JumpPoints; !(p >= 0 && p <= 100) { // not a number is wrong, too
		wrong("--guard-jump is %v: give 0 to 100 percentage points", p)
	}
	if c.FreshFor < 0 {
		wrong("--fresh-for is %v: give a duration", c.FreshFor)
	}
	c.checkEgress(wrong)
	if err := api.CheckOrigins(c.AllowOrigins); err != nil {
		wrong("--allow-origin: %w", err)
	}
	if token := c.RootToken.Reveal(); token != "" && (len(token) < minRootToken || !validRootToken.MatchString(token)) {
		wrong("FIRESCAN_ROOT_TOKEN is not a valid token: use at least %d letters, digits and -._~+/, for example the output of `openssl rand -hex 32`", minRootToken)
	}
	return errors.Join(errs...)
}

// minRootToken is the minimum length of a root token, so that it cannot be guessed.
const minRootToken = 32

// validRootToken matches tokens that can be sent as a bearer token (RFC 6750, section 2.1),
// so that a token with a space is refused at the start and not by a 401.
var validRootToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// checkMembership validates the flags about other nodes.
func (c *Config) checkMembership(wrong func(format string, args ...any)) {
	for flag, address := range map[string]string{"--cluster-addr": c.ClusterAddr, "--gossip-addr": c.GossipAddr} {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			wrong("%s %q is not a host:port: %w", flag, address, err)
		}
	}
	if (c.ClusterAddr == "") != (c.GossipAddr == "") {
		wrong("--cluster-addr and --gossip-addr must be given together, or not at all for a node that stays alone")
	}
	for _, address := range c.Join {
		if _, _, err := net.SplitHostPort(address); err != nil {
			wrong("--join %q is not the gossip address (host:port) of another node: %w", address, err)
		}
	}
	if c.BootstrapExpect < 1 || c.BootstrapExpect > maxExpect {
		wrong("--bootstrap-expect is %d: give 1 to %d", c.BootstrapExpect, maxExpect)
	}
	if c.ClusterAddr == "" && c.joins() {
		wrong("--join and --bootstrap-expect need --cluster-addr and --gossip-addr")
	}
	if own := (c.ClusterCert != "") || (c.ClusterKey != "") || (c.ClusterCA != ""); own && (c.ClusterCert == "" || c.ClusterKey == "" || c.ClusterCA == "") {
		wrong("--cluster-cert, --cluster-key and --cluster-ca must be given together, or not at all")
	}
	if len(c.ClusterAllowNames) > 0 && c.ClusterCA == "" {
		wrong("--cluster-allow-name needs --cluster-cert, --cluster-key and --cluster-ca")
	}
	for _, pattern := range c.ClusterAllowNames {
		if _, err := path.Match(pattern, ""); err != nil || strings.Trim(pattern, "*?.") == "" {
			wrong("--cluster-allow-name %q is not a name or a pattern of names, such as *.firescan.example.com", pattern)
		}
	}
}

// maxExpect is the maximum of --bootstrap-expect.
const maxExpect = 100

// joins reports whether the node has to find other nodes.
func (c *Config) joins() bool { return len(c.Join) > 0 || c.BootstrapExpect > 1 }
