package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"firescan/api"
	"firescan/cluster/transport"
)

const (
	readHeaders = 10 * time.Second
	idle        = 2 * time.Minute
	maxHeaders  = 64 << 10
	// grace is the time that current requests get to finish when the node stops.
	grace = 5 * time.Second
	// forceWait bounds how long force=true waits for a sync. It is below the usual timeout
	// of proxies, 30 s.
	forceWait = 25 * time.Second
)

// listen opens the public port. The second listener is what bounds the first.
func listen(c *Config) (net.Listener, *boundedListener, error) {
	limits, err := c.limits()
	if err != nil {
		return nil, nil, err
	}
	gate := &transport.Gate{Total: limits.Connections, PerHost: limits.AddressConnections, Trusted: limits.TrustedProxies}
	l, err := listenBounded("--http-addr", c.HTTPAddr, gate, c.Logger)
	if err != nil {
		return nil, nil, err
	}
	if c.TLSCert == "" {
		return l, l, nil
	}
	own, err := transport.NewReloader(transport.CertFiles{Cert: c.TLSCert, Key: c.TLSKey}, c.Logger)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("load --http-tls-cert and --http-tls-key: %w", err), l.Close())
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own.Certificate() },
	}), l, nil
}

// newAPI returns the server of the API.
func (n *Node) newAPI(metrics http.Handler, secret *secretRotation) (*api.Server, error) {
	limits, err := n.config.limits()
	if err != nil {
		return nil, err
	}
	return api.New(api.Config{
		Catalog: n.catalog, Consensus: n.cluster, Shards: n.scan.replicator, Buckets: n.buckets, Accounts: n.buckets, Deleter: n.deleter,
		Secrets: n.keys, Keys: rotation{n.keys, n.cluster}, ClusterSecret: secret, Locator: n.locator, Endpoints: n.egress, Types: providerTypes,
		Members: n.cluster, Freezer: n.cluster, Ready: n.readiness.check,
		AllowOrigins: n.config.AllowOrigins, Limits: limits, Metrics: metrics, OpenMetrics: n.config.MetricsAddr == "", Registerer: n.registry, Logger: n.log,
		SyncEvery: n.config.SyncEvery, OrphanMinAge: n.config.OrphanMinAge, FreshFor: n.config.FreshFor, ForceWait: forceWait,
	})
}

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ConnContext: api.ConnContext, ReadHeaderTimeout: readHeaders, IdleTimeout: idle, MaxHeaderBytes: maxHeaders,
		// The server logs faults of clients (failed handshakes, aborted requests).
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// No WriteTimeout, because of streams: the API sets a deadline for each other
		// request.
	}
}

// serve serves requests until ctx ends, and then lets current requests finish.
func (n *Node) serve(ctx context.Context) error {
	stopped := make(chan struct{})
	var failed error // read it only after stopped is closed
	go func() {
		defer close(stopped)
		failed = n.http.Serve(n.listener)
	}()
	select {
	case <-stopped:
		return fmt.Errorf("serve the API: %w", failed)
	case <-ctx.Done():
	}
	n.api.Close() // ends the event streams, which have no end
	graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := n.http.Shutdown(graceful); err != nil {
		n.log.Warn("current requests were aborted", "error", err)
		_ = n.http.Close()
	}
	<-stopped
	return context.Cause(ctx)
}
