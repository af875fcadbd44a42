package node

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"firescan/cluster/transport"
)

// newRegistry returns a registry with metrics of the process, and its handler. Each node has
// a separate one, so that tests can run several in one process.
func newRegistry(version string) (*prometheus.Registry, http.Handler) {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "firescan_build_info", Help: "1, with the version of firescan as label.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	r.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r, promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r})
}

// metricsServer serves the metrics on a separate address, if there is one. They name
// organizations, so the public port serves them to strangers only with a token.
type metricsServer struct {
	listener net.Listener // nil without an address
	server   *http.Server
}

func newMetricsServer(c *Config, metrics http.Handler) (*metricsServer, error) {
	if c.MetricsAddr == "" {
		return &metricsServer{}, nil
	}
	l, err := listenBounded("--metrics-addr", c.MetricsAddr, &transport.Gate{Total: maxMetricsConnections}, c.Logger)
	if err != nil {
		return nil, err
	}
	routes := http.NewServeMux()
	routes.Handle("GET /metrics", metrics)
	server := newHTTPServer(routes, c.Logger)
	server.ReadTimeout, server.WriteTimeout = readHeaders, time.Minute
	return &metricsServer{l, server}, nil
}

// run serves until ctx ends.
func (m *metricsServer) run(ctx context.Context) error {
	if m.listener == nil {
		return nil
	}
	unhook := context.AfterFunc(ctx, func() { _ = m.server.Close() })
	defer unhook()
	err := m.server.Serve(m.listener)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("serve the metrics: %w", err)
}

func (m *metricsServer) close() error {
	if m.listener == nil {
		return nil
	}
	return closeListener(m.listener)
}

// MetricsURL returns the URL of the metrics, without a separate listener that of the API.
func (n *Node) MetricsURL() string {
	if n.metrics.listener == nil {
		return n.URL() + "/metrics"
	}
	return "http://" + n.metrics.listener.Addr().String() + "/metrics"
}
