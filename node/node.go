package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"firescan/api"
	"firescan/catalog"
	"firescan/cluster"
	"firescan/deletion"
	"firescan/index"
	"firescan/provider"
	"firescan/replica"
)

// A Node is a firescan node. New creates it, Run runs it until its context ends, Close
// releases everything.
type Node struct {
	config Config
	id     string
	log    *slog.Logger
	// undo closes the parts that New opened, newest first.
	undo []func() error

	dir       *dataDir
	listener  net.Listener
	registry  *prometheus.Registry
	metrics   *metricsServer
	catalog   *catalog.Catalog
	index     *index.Store
	cluster   *cluster.Cluster
	secrets   *secretKeeper
	keys      *keys
	egress    *provider.Egress
	buckets   *buckets
	readiness *readiness
	verifier  *verifier
	scan      *scanning
	locator   *replica.Locator
	deleter   *deletion.Deleter
	api       *api.Server
	events    *api.EventStream
	http      *http.Server
}

// New creates a node. When it fails, nothing stays open.
func New(c Config) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &Node{config: c, log: c.Logger}
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// open creates the parts in the order of their dependencies.
func (n *Node) open() (err error) {
	// The lock comes first: the directory may belong to another process.
	if n.dir, err = openDataDir(n.config.DataDir); err != nil {
		return err
	}
	n.later(n.dir.close)
	if n.id, err = n.dir.nodeID(n.config.NodeID); err != nil {
		return err
	}
	n.log = n.log.With("node", n.id)
	for _, file := range n.config.secretFiles() {
		if warning := LaxSecret(file); warning != "" {
			n.log.Warn(warning)
		}
	}
	// The port comes early: that it is in use is the most likely mistake.
	var bounds *boundedListener
	if n.listener, bounds, err = listen(&n.config); err != nil {
		return err
	}
	n.later(func() error { return closeListener(n.listener) })
	// The secret comes before the catalog: it may be created only if there is no catalog.
	shared, err := clusterSecrets(n.dir, n.config.SecretFile, n.config.joins(), n.log)
	if err != nil {
		return err
	}
	n.secrets = &secretKeeper{dir: n.dir, masterKeyFile: n.config.MasterKeyFile, secrets: shared}
	if _, err := n.secrets.keks(); err != nil {
		return err
	}
	registry, metrics := newRegistry(n.config.Version)
	n.registry = registry
	registry.MustRegister(bounds.refused)
	if n.metrics, err = newMetricsServer(&n.config, metrics); err != nil {
		return err
	}
	n.later(n.metrics.close)

	n.catalog, err = catalog.Open(n.dir.join(catalogFile), catalog.Options{Logger: n.log, Registerer: registry})
	if err != nil {
		return err
	}
	n.later(n.catalog.Close)
	// Wrong keys are an error now, not at the first sync.
	n.keys = &keys{catalog: n.catalog, keks: n.secrets.keks}
	n.secrets.keys = n.keys
	if _, err := n.keys.open(); err != nil && !errors.Is(err, errNoKeyset) {
		return err
	}
	n.index, err = index.Open(n.dir.join(indexDir), index.Options{Logger: n.log, Registerer: registry})
	if err != nil {
		return err
	}
	n.later(n.index.Close)
	if err := checkKeyDir(n.config.GCSKeyDir); err != nil {
		return err
	}
	if n.egress, err = newEgress(&n.config); err != nil {
		return err
	}
	n.later(func() error { n.egress.Close(); return nil })
	calls, err := provider.NewMetrics(registry)
	if err != nil {
		return err
	}
	n.buckets = newBuckets(n.catalog, n.keys, n.egress, calls, n.config.GCSKeyDir)
	// The cluster starts to apply committed commands, so the catalog must be open.
	if n.cluster, err = n.openCluster(shared.accepted(), registry); err != nil {
		return err
	}
	n.later(n.cluster.Close)
	n.secrets.use = n.cluster.UseSecrets
	n.cluster.Handle("POST "+secretsPath, n.secrets)
	rotation := &secretRotation{cluster: n.cluster, keeper: n.secrets, keys: n.keys, self: n.id, log: n.log}
	n.cluster.Handle("POST "+secretsPath+"/rotate", rotation)
	registry.MustRegister(newDestinations(n.catalog, func() int { return len(n.cluster.Peers()) }, n.log))
	n.readiness = &readiness{cluster: n.cluster, catalog: n.catalog, self: n.id}
	n.verifier = newVerifier(n.catalog, n.log)
	n.scan = n.newScanning()
	n.locator = &replica.Locator{
		Node: n.id, Catalog: n.catalog, Index: n.index, Members: n.members, Client: n.cluster.HTTPClient(),
	}
	n.deleter = n.newDeleter()
	if n.api, err = n.newAPI(metrics, rotation); err != nil {
		return err
	}
	// Streams of events must end before the cluster waits for them.
	n.later(func() error { n.api.Close(); return nil })
	n.http = newHTTPServer(n.api, n.log)
	n.events = n.api.EventStream(n.id, n.cluster)
	n.cluster.Handle("GET "+api.EventsPath, n.events)
	// Requests that another node forwards because this node holds the shard.
	n.cluster.Handle("/api/", n.api.Forwarded())
	// From here on other nodes send requests, and this node may lead.
	return n.cluster.Start()
}

func (n *Node) later(undo func() error) { n.undo = append(n.undo, undo) }

func closeListener(l net.Listener) error {
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Addr returns the host:port that the API listens on.
func (n *Node) Addr() string { return n.listener.Addr().String() }

// URL returns the URL of the API for clients on the same machine.
func (n *Node) URL() string {
	if n.config.TLSCert != "" {
		return "https://" + n.Addr()
	}
	return "http://" + n.Addr()
}

// Ready returns nil once the node serves requests.
func (n *Node) Ready() error { return n.readiness.check() }

// Run runs the node until ctx ends, which is no error, or a part fails. Current requests get
// some seconds to finish. Call it once.
func (n *Node) Run(ctx context.Context) error {
	n.log.Info("firescan is serving", "url", n.URL(), "data", n.dir.path, "version", n.config.Version)
	// The work ends after the API: a current request may wait for a sync.
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	parts, failed := errgroup.WithContext(work)
	parts.Go(func() error { return n.verifier.run(failed) })
	parts.Go(func() error { return n.scan.run(failed) })
	parts.Go(func() error { return recoverRootToken(failed, n.cluster, n.dir, n.log) })
	parts.Go(func() error { return n.cluster.Lead(failed, n.lead) })
	parts.Go(func() error { return n.scan.publisher.run(failed) })
	parts.Go(func() error { return n.events.Run(failed) })
	parts.Go(func() error { return n.api.RunAudit(failed) })
	parts.Go(func() error { return n.metrics.run(failed) })
	parts.Go(func() error {
		select {
		case err := <-n.cluster.Fatal():
			return fmt.Errorf("this node cannot continue: %w", err)
		case <-failed.Done():
			return context.Cause(failed)
		}
	})
	// The API stops first: when ctx ends, or with the part that failed.
	serving, stopServing := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(failed, func() { stopServing(context.Cause(failed)) })
	served := n.serve(serving)
	unhook()
	stopServing(nil)
	stopWork(errStopping)
	worked := parts.Wait()

	n.log.Info("firescan is stopping")
	for _, err := range []error{worked, served} {
		if err != nil && !errors.Is(err, errStopping) && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

// errStopping is the cause of contexts that end because the node stops.
var errStopping = errors.New("the node is stopping")

// closeWait bounds Close: a call to a disk that hangs does not return.
const closeWait = 30 * time.Second

// Close closes all parts that New opened, newest first. Call it after Run has returned.
func (n *Node) Close() error {
	done := make(chan error, 1)
	go func() {
		var errs []error
		for _, undo := range slices.Backward(n.undo) {
			errs = append(errs, undo())
		}
		n.undo = nil
		done <- errors.Join(errs...)
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(closeWait):
		return fmt.Errorf("the node did not stop within %v: does the disk of %s hang?", closeWait, n.config.DataDir)
	}
}
