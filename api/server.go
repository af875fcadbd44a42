package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/julienschmidt/httprouter"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/cors"

	"firescan/api/socketio"
	"firescan/catalog"
)

// Config is the configuration of a Server. All fields are required unless they say
// otherwise.
type Config struct {
	Catalog       *catalog.Catalog
	Consensus     Consensus
	Shards        Shards
	Buckets       Buckets
	Deleter       Deleter
	Accounts      Accounts
	Secrets       Secrets
	Keys          Keys
	ClusterSecret ClusterSecret
	Locator       ShardLocator
	Endpoints     Endpoints
	Members       Members
	// Freezer may be nil: then the process never stands still.
	Freezer Freezer
	// Ready returns nil when this node can serve requests.
	Ready func() error
	// Types are the destination types that Buckets and Accounts can open.
	Types []string
	// Metrics serves GET /metrics: with a token, and if OpenMetrics is set also without one
	// to clients on the same machine.
	Metrics     http.Handler
	OpenMetrics bool
	Registerer  prometheus.Registerer
	Logger      *slog.Logger
	// SyncEvery is the interval of scheduled syncs; 0 means none.
	SyncEvery time.Duration
	// OrphanMinAge is the default minimum age of orphans that a cleanup deletes.
	OrphanMinAge time.Duration
	// FreshFor is how long after a sync its data counts as fresh.
	FreshFor time.Duration
	// ForceWait bounds how long force=true waits for a sync.
	ForceWait time.Duration
	// AllowOrigins are the origins of pages that may use the API beside its own, as patterns.
	AllowOrigins []string
	// Limits are the quotas; the zero value has none.
	Limits Limits
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// A Server serves the API. It is safe for concurrent use.
type Server struct {
	backend *backend
	router  *httprouter.Router
	hub     *hub
	sockets *socketio.Server
	cors    *cors.Cors // nil: none

	// The handlers by noun; those without dependencies are functions.
	accounts     *accounts
	destinations *destinations
	syncs        *syncs
	shards       *shards
	files        *files
	backups      *backups
	stats        *stats
	events       *events
	admin        *admin
	probes       *probes
}

// New returns a server.
func New(c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, err
	}
	limits, err := newLimits(c.Limits, m, c.Now)
	if err != nil {
		return nil, err
	}
	s := &Server{
		backend: &backend{audit: newAuditor(c.Consensus, limits, c.Logger, c.Now), catalog: c.Catalog, consensus: c.Consensus, locator: c.Locator, freezer: c.Freezer, metrics: m, limits: limits, openMetrics: c.OpenMetrics, log: c.Logger, now: c.Now},
		hub:     newHub(m, limits),
		syncs:   &syncs{c.SyncEvery, c.FreshFor, c.ForceWait},
		admin:   &admin{c.Members, c.Keys, c.ClusterSecret},
		probes:  &probes{c.Ready, c.Metrics},
	}
	checked := &settings{c.Types, c.Endpoints}
	s.accounts = &accounts{c.Accounts, checked}
	s.destinations = &destinations{checked, c.Secrets, c.Buckets}
	s.shards = &shards{c.Shards, s.syncs}
	s.files = &files{s.shards, c.Deleter, c.OrphanMinAge}
	s.backups = &backups{s.shards, c.Deleter}
	s.stats = &stats{s.backend, s.shards}
	s.events = &events{s.hub, usualHeartbeat}
	s.router = s.newRouter()
	if s.cors, err = allowOrigins(c.AllowOrigins); err != nil {
		return nil, err
	}
	s.sockets = socketio.New(socketio.Config{Application: sockets{s.backend, s.hub}, Open: s.backend.openSocket, AllowsOrigin: s.allowsOrigin, Logger: c.Logger, PingInterval: usualHeartbeat})
	return s, nil
}

// ServeHTTP implements http.Handler. Websockets need writers that can be hijacked.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.cors == nil {
		s.serve(w, r)
		return
	}
	if r.Method == http.MethodOptions && r.ContentLength != 0 {
		// The server reads the body before it responds.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(slowClient))
	}
	s.cors.ServeHTTP(w, r, s.serve)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == socketPath {
		s.sockets.ServeHTTP(w, r)
		return
	}
	s.router.ServeHTTP(w, withoutSlash(r))
}

// Publish sends an event to the clients of its organization. It does not block.
func (s *Server) Publish(e Event) { s.hub.publish(e) }

// Close ends the event streams, so that the HTTP server can shut down.
func (s *Server) Close() {
	s.hub.close()
	s.sockets.Close()
}

// Stats returns the data of GET /api/v1/storage/stats for an organization, from this
// node.
func (s *Server) Stats(ctx context.Context, org string) (*StorageStats, error) {
	data, _, err := s.stats.sum(ctx, org)
	return data, err
}

// Forwarded returns the handler for requests that other nodes of the cluster forward. They
// name the client's address, and that node has counted the request.
func (s *Server) Forwarded() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := parseAddress(r.Header.Get(addressHeader))
		s.serve(w, r.WithContext(context.WithValue(r.Context(), memberKey{}, client)))
	})
}
