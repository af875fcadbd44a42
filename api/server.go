package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/julienschmidt/httprouter"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"firescan/api/socketio"
	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/cluster"
	"firescan/index"
	"firescan/provider"
)

// Consensus brings changes into the catalog and tells how far reads must have come.
type Consensus interface {
	// Propose returns when the command is applied on this node.
	Propose(ctx context.Context, command proto.Message) (*pb.Result, error)
	// ProposeOnce is Propose for a command that takes effect once for the key of once,
	// however often it is proposed: each time the answer is the result of the first.
	ProposeOnce(ctx context.Context, command proto.Message, once *pb.Once) (*pb.Result, error)
	// ProposeAll does that for several commands at once, in this order. A refusal is in
	// the result of its command; after an error those before may have been applied.
	ProposeAll(ctx context.Context, commands []proto.Message) ([]*pb.Result, error)
	// Barrier returns when this node's catalog holds all that was written before.
	Barrier(ctx context.Context) error
}

// Shards opens the index of destinations.
type Shards interface {
	View(ctx context.Context, destination string) (*index.View, error)
}

// Buckets opens the bucket of a destination with its stored credentials.
type Buckets interface {
	Open(ctx context.Context, d *pb.Destination) (provider.Bucket, error)
}

// Accounts opens an account at a provider with credentials that are only tried: they are
// not stored, and no request is made yet.
type Accounts interface {
	Account(ctx context.Context, providerType, endpoint, region string, credentials map[string]string) (provider.Account, error)
}

// Secrets encrypts a credential before it enters a command.
type Secrets interface {
	Seal(org, destination, field, plain string) ([]byte, error)
}

// Endpoints says where users may point us to.
type Endpoints interface {
	Check(endpoint string) error
}

// Members lists and removes the nodes of the cluster; *cluster.Cluster does.
type Members interface {
	Members(ctx context.Context) ([]cluster.Member, error)
	Peers() []cluster.Peer
	Remove(ctx context.Context, id string) error
}

// Config is what a Server needs. All fields are required unless they say otherwise.
type Config struct {
	Catalog   *catalog.Catalog
	Consensus Consensus
	Shards    Shards
	Buckets   Buckets
	Deleter   Deleter
	Accounts  Accounts
	Secrets   Secrets
	Keys      Keys
	Elsewhere Elsewhere
	Endpoints Endpoints
	Members   Members
	// Ready returns nil when this node can serve requests.
	Ready func() error
	// Types are the destination types that Buckets and Accounts can open.
	Types []string
	// Metrics answers GET /metrics.
	Metrics    http.Handler
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// SyncEvery is how often verified destinations are synced; 0 is never.
	SyncEvery time.Duration
	// OrphanMinAge is how old an orphan is the least that a cleanup deletes.
	OrphanMinAge time.Duration
	// FreshFor is how long after a sync its answer counts as fresh.
	FreshFor time.Duration
	// ForceWait bounds how long force=true waits for a sync.
	ForceWait time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Server answers the API. It is an http.Handler that is safe for concurrent use.
type Server struct {
	Config
	router  *httprouter.Router
	metrics *metrics
	hub     *hub
	sockets *socketio.Server
	flights flights
	// heartbeat is how often a quiet event stream is written to, and its token looked at.
	heartbeat time.Duration
}

// New makes a server.
func New(c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, err
	}
	s := &Server{Config: c, metrics: m, hub: newHub(m), heartbeat: usualHeartbeat}
	s.router = s.newRouter()
	s.sockets = socketio.New(socketio.Config{Application: sockets{s}, Logger: s.Logger, PingInterval: s.heartbeat})
	return s, nil
}

// ServeHTTP implements http.Handler. Websockets need writers that can be hijacked.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == socketPath {
		s.sockets.ServeHTTP(w, r)
		return
	}
	s.router.ServeHTTP(w, r)
}

// Publish sends an event to the clients of its organisation that listen. It does
// not block.
func (s *Server) Publish(e Event) { s.hub.publish(e) }

// Close ends the event streams, so that the HTTP server can shut down.
func (s *Server) Close() {
	s.hub.close()
	s.sockets.Close()
}
