package socketio

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"
)

const (
	// maxPayload is the maximum size in bytes of a frame, message or body from a client.
	// The open packet announces it.
	maxPayload = 64 << 10
	// maxUnauthenticated is the maximum number of sessions that have not authenticated,
	// maxPerAddress that of one address. More end the oldest of them.
	maxUnauthenticated = 4096
	maxPerAddress      = 512
	// maxReplies is the maximum number of replies that wait for one client.
	maxReplies = 16
	// maxBatch is the maximum number of packets that are sent at once.
	maxBatch = 64
	// upgradeTimeout limits the upgrade of a session to websocket.
	upgradeTimeout = 10 * time.Second
	// releaseAfter is how long a poll may last while its client waits to upgrade.
	releaseAfter = 100 * time.Millisecond
	// closeTimeout limits how long the websocket of an ended session stays open.
	closeTimeout = time.Second
)

// Application authenticates clients. It is called from several goroutines.
type Application interface {
	// Connect authenticates a client by what the request that opened its session had, and
	// by the JSON object auth that it sent since, or empty. The client sees the content of
	// a *Refusal, and of other errors only that there was one.
	Connect(opened Opening, auth json.RawMessage) (Client, error)
}

// An Opening is what is kept of the request that opened a session.
type Opening struct {
	// Address is the address of the client.
	Address string
	// Token is what the request itself has to authenticate the client, or empty. It has
	// a bound, since strangers may open sessions.
	Token string
}

// Client is the application's side of a connected client.
type Client interface {
	// Events returns the channel of packets for the client, made by Event. The
	// application closes it to disconnect the client.
	Events() <-chan []byte
	// Authorized reports whether the client may stay. It is called every PingInterval.
	Authorized() bool
	// Handle handles an event from the client. The result is encoded as JSON and
	// acknowledges the event, if the client asked for that.
	Handle(event string, args []json.RawMessage) any
	// Close is called once, when the session has ended. The argument is true when the
	// client was too slow.
	Close(slow bool)
}

// Refusal is an error that the client receives in the event connect_error.
type Refusal struct {
	Message string
	// Data is encoded as JSON.
	Data any
}

func (r *Refusal) Error() string { return r.Message }

// Config configures a Server. Zero durations mean the default.
type Config struct {
	Application Application
	// Open returns what to keep of a request that opens a session.
	Open func(*http.Request) Opening
	// AllowsOrigin reports whether the page that opens a websocket may. Nil lets pages of
	// the same host.
	AllowsOrigin func(*http.Request) bool
	Logger       *slog.Logger
	// PingInterval is the time between pings, and between calls of Authorized.
	PingInterval time.Duration
	// PingTimeout is how long a client may take to return a ping.
	PingTimeout time.Duration
	// ConnectTimeout is how long a session may stay unauthenticated.
	ConnectTimeout time.Duration
	// WriteTimeout limits one write to a client.
	WriteTimeout time.Duration
	// ReadTimeout limits the read of a request body.
	ReadTimeout time.Duration
}

// withDefaults returns the configuration with defaults for zero durations.
func (c Config) withDefaults() *Config {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&c.PingInterval, 25 * time.Second},
		{&c.PingTimeout, 20 * time.Second},
		{&c.ConnectTimeout, 10 * time.Second},
		{&c.WriteTimeout, 10 * time.Second},
		{&c.ReadTimeout, 30 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	return &c
}

// maxSilence returns how long a client may send no pong.
func (c *Config) maxSilence() time.Duration { return c.PingInterval + c.PingTimeout }
