package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/hashicorp/go-hclog"

	"firescan/cluster/transport"
)

// hclogger writes the log of Raft to slog.
type hclogger struct {
	hclog.Logger // discards the output of methods that are not overridden
	out          *slog.Logger
	name         string
	limit        *transport.LogLimiter
}

func newLogger(out *slog.Logger) *hclogger {
	return &hclogger{Logger: hclog.NewNullLogger(), out: out, limit: &transport.LogLimiter{}}
}

// expected are warnings of Raft that belong to normal operation: elections, connections
// that end with the process at their other side, a follower that is behind.
var expected = map[string]bool{
	"heartbeat timeout reached, starting election":  true,
	"Election timeout reached, restarting election": true,
	"appendEntries rejected, sending older logs":    true,
	"failed to decode incoming command":             true,
	"failed to flush response":                      true,
	"no known peers, aborting election":             true,
}

func (l *hclogger) write(level slog.Level, msg string, args ...any) {
	peer, canceled := "", false
	for i, a := range args {
		// hclog's own formats of values.
		if f, ok := a.(hclog.Format); ok {
			args[i] = slog.AnyValue([]any(f))
		}
		if a == "peer" || a == "target" {
			peer = fmt.Sprint(args[min(i+1, len(args)-1)])
		}
		if err, ok := a.(error); ok && errors.Is(err, context.Canceled) {
			canceled = true // autopilot, when its term ends
		}
	}
	if peer != "" {
		level = min(level, slog.LevelWarn) // the failure of another node is no error of this one
	}
	// Raft logs an unreachable node several times a second.
	if expected[msg] || canceled || level >= slog.LevelWarn && !l.limit.Allow(msg+peer) {
		level = slog.LevelDebug
	}
	l.out.Log(context.Background(), level, msg, args...)
}

func (l *hclogger) Log(level hclog.Level, msg string, args ...any) {
	l.write(levels[level], msg, args...)
}

var levels = map[hclog.Level]slog.Level{
	hclog.Trace: slog.LevelDebug, hclog.Debug: slog.LevelDebug, hclog.Info: slog.LevelInfo,
	hclog.Warn: slog.LevelWarn, hclog.Error: slog.LevelError,
}

func (l *hclogger) Trace(string, ...any)           {}
func (l *hclogger) Debug(msg string, args ...any)  { l.write(slog.LevelDebug, msg, args...) }
func (l *hclogger) Info(msg string, args ...any)   { l.write(slog.LevelDebug, msg, args...) }
func (l *hclogger) Warn(msg string, args ...any)   { l.write(slog.LevelWarn, msg, args...) }
func (l *hclogger) Error(msg string, args ...any)  { l.write(slog.LevelError, msg, args...) }
func (l *hclogger) Name() string                   { return l.name }
func (l *hclogger) IsTrace() bool                  { return false }
func (l *hclogger) IsDebug() bool                  { return l.out.Enabled(context.Background(), slog.LevelDebug) }
func (l *hclogger) IsInfo() bool                   { return l.IsDebug() }
func (l *hclogger) IsWarn() bool                   { return true }
func (l *hclogger) IsError() bool                  { return true }
func (l *hclogger) Named(name string) hclog.Logger { return l.ResetNamed(name) }
func (l *hclogger) With(args ...any) hclog.Logger  { c := *l; c.out = l.out.With(args...); return &c }

func (l *hclogger) ResetNamed(name string) hclog.Logger {
	c := *l
	c.name, c.out = name, l.out.With("part", name)
	return &c
}

func (l *hclogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(l.out.Handler(), slog.LevelDebug)
}

func (l *hclogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return l.StandardLogger(nil).Writer()
}
