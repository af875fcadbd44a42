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
	// A client that does not get its headers out in this time is no client.
	readHeaders = 10 * time.Second
	idle        = 2 * time.Minute
	maxHeaders  = 64 << 10
	// grace is how long requests under way may take when the node stops.
	grace = 5 * time.Second
	// forceWait is how long force=true waits for a sync, below the 30 s after which
	// proxies commonly give up.
	forceWait = 25 * time.Second
)

// listen opens the public port, so that the address is known and a taken port is
// told before anything else happens.
func listen(c *Config) (net.Listener, error) {
	l, err := net.Listen("tcp", c.HTTPAddr)
	if err != nil {
		return nil, fmt.Errorf("listen on --http-addr: %w (is another process using it? choose a free one)", err)
	}
	if c.TLSCert == "" {
		return l, nil
	}
	own, err := transport.NewReloader(transport.CertFiles{Cert: c.TLSCert, Key: c.TLSKey}, c.Logger)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load --http-tls-cert and --http-tls-key: %w", err), l.Close())
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own.Certificate() },
	}), nil
}

// newAPI makes what answers requests, out of what this node is made of.
func (n *Node) newAPI(metrics http.Handler) (*api.Server, error) {
	return api.New(api.Config{
		Catalog: n.catalog, Consensus: n.cluster, Shards: n.scan.replicator, Buckets: n.buckets, Accounts: n.buckets, Deleter: n.deleter,
		Secrets: n.keys, Keys: rotation{n.keys, n.cluster}, Locator: n.locator, Endpoints: n.egress, Types: providerTypes,
		Members: n.cluster, Ready: n.readiness.check,
		Metrics: metrics, Registerer: n.registry, Logger: n.log,
		SyncEvery: n.config.SyncEvery, OrphanMinAge: n.config.OrphanMinAge, FreshFor: n.config.FreshFor, ForceWait: forceWait,
	})
}

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaders, IdleTimeout: idle, MaxHeaderBytes: maxHeaders,
		// What the server logs is about clients (bad handshakes, aborted requests).
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// No WriteTimeout: files are streamed for as long as it takes. The API sets
		// deadlines for each request that is no stream.
	}
}

// serve answers requests until ctx ends, and then lets those under way finish.
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
	n.api.Close() // ends the event streams, which would last as long as their clients
	graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := n.http.Shutdown(graceful); err != nil {
		n.log.Warn("requests under way were cut off", "error", err)
		_ = n.http.Close()
	}
	<-stopped
	return context.Cause(ctx)
}
