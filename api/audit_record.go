package api

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const (
	// strangers is where failed logins are recorded. It is the name of no organization, and
	// apart from the entries of the cluster, which strangers must not push out.
	strangers = "?"
	// auditEvery is how long an entry waits for others.
	auditEvery = time.Second
	// auditWindow is how long requests of a kind are counted for one entry. The first one is
	// recorded at once.
	auditWindow = 5 * time.Minute
	// maxAuditGroups is the number of kinds of an organization that are counted separately.
	maxAuditGroups = 32
	// maxAuditQueue bounds the entries that wait for a leader.
	maxAuditQueue = 4096
	// auditBatch is the number of entries of a command. An entry has at most 2 KiB.
	auditBatch = 100
	// auditTimeout bounds the proposal of a batch, lastAuditTimeout those of a node that stops.
	auditTimeout     = 10 * time.Second
	lastAuditTimeout = time.Second
	// auditEntrySize is the average size of an entry that the limit of entries allows, in
	// bytes.
	auditEntrySize = 512
	// actionOthers stands for what is counted together because there is too much of it.
	actionOthers = "others"
)

// auditor writes the audit of requests into the catalog. Entries are proposed in batches after
// the requests, so that an audited request costs no more than another. It is safe for concurrent
// use.
type auditor struct {
	consensus Consensus
	limits    *limits
	log       *slog.Logger
	now       func() time.Time

	// writing has room for one write at a time: a failed batch goes back to the front.
	writing chan struct{}

	mu     sync.Mutex
	queue  []*pb.AuditEntry
	groups map[string]map[auditKind]*auditGroup // by organization
}

// auditKind is what requests have in common that are counted together.
type auditKind struct{ actor, action, address, outcome string }

type auditGroup struct {
	entry *pb.AuditEntry // with a count of 0 once it is written
	next  time.Time      // when it is written again, if it is counted until then
}

func newAuditor(to Consensus, l *limits, log *slog.Logger, now func() time.Time) *auditor {
	return &auditor{consensus: to, limits: l, log: log, now: now, writing: make(chan struct{}, 1), groups: map[string]map[auditKind]*auditGroup{}}
}

// record adds an entry. A single one stays by itself, while the organization has not too many
// of them; others are counted.
func (a *auditor) record(e *pb.AuditEntry, single bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if single && len(a.queue) < maxAuditQueue && a.limits.auditEntry(e.Org) {
		e.Id = catalog.NewID(catalog.KindAudit)
		a.queue = append(a.queue, e)
		return
	}
	a.count(e)
}

// count adds an entry to those of its kind.
func (a *auditor) count(e *pb.AuditEntry) {
	of := a.groups[e.Org]
	if of == nil {
		of = map[auditKind]*auditGroup{}
		a.groups[e.Org] = of
	}
	kind := auditKind{e.Actor, e.Action, e.Address, e.Outcome}
	g := of[kind]
	if g == nil && len(of) >= maxAuditGroups {
		a.limits.metrics.limited.WithLabelValues(string(quotaAudit)).Inc()
		kind = auditKind{action: actionOthers}
		e = &pb.AuditEntry{Org: e.Org, At: e.At, Action: actionOthers, Count: e.Count}
		g = of[kind]
	}
	if g == nil {
		g = &auditGroup{entry: &pb.AuditEntry{Org: e.Org, Actor: e.Actor, Action: e.Action, Address: e.Address, Outcome: e.Outcome}}
		of[kind] = g
	}
	merge(g.entry, e)
}

// due takes the entries to be written.
func (a *auditor) due(all bool) []*pb.AuditEntry {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.queue
	a.queue = nil
	now := a.now()
	for org, of := range a.groups {
		for kind, g := range of {
			if now.Before(g.next) && !all {
				continue
			}
			if g.entry.Count == 0 {
				delete(of, kind)
				continue
			}
			e := proto.CloneOf(g.entry)
			e.Id = catalog.NewID(catalog.KindAudit)
			list = append(list, e)
			g.entry.Count, g.entry.Numbers, g.next = 0, nil, now.Add(auditWindow)
		}
		if len(of) == 0 {
			delete(a.groups, org)
		}
	}
	return list
}

// write proposes what is due; all includes what is still counted.
func (a *auditor) write(ctx context.Context, all bool) error {
	select {
	case a.writing <- struct{}{}:
		defer func() { <-a.writing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	list := a.due(all)
	for batch := range slices.Chunk(list, auditBatch) {
		ctx, cancel := context.WithTimeout(ctx, auditTimeout)
		_, err := a.consensus.Propose(ctx, a.command(batch))
		cancel()
		if refused, ok := errors.AsType[*catalog.Error](err); ok {
			a.log.Error("entries of the audit were refused; they are lost", "entries", len(batch), "error", refused)
		} else if err != nil {
			a.putBack(list)
			return err
		}
		list = list[len(batch):]
	}
	return nil
}

// catchUp writes what is due, so that a client which reads the audit finds its own requests to
// this node. Without a leader it gives up soon.
func (a *auditor) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, auditEvery)
	defer cancel()
	_ = a.write(ctx, false) // run reports errors
}

// command returns the command that records entries.
func (a *auditor) command(batch []*pb.AuditEntry) *pb.RecordAudit {
	c := &pb.RecordAudit{Entries: batch, Keep: math.MaxUint32, KeepBytes: math.MaxUint64}
	if n := a.limits.AuditEntries; n > 0 {
		c.Keep, c.KeepBytes = uint32(min(n, math.MaxUint32)), uint64(n)*auditEntrySize //nolint:gosec // not negative
	}
	return c
}

// putBack returns entries that were not written, before those that came meanwhile. Entries for
// which there is no room are counted by kind. One that was written after all stays as it is.
func (a *auditor) putBack(list []*pb.AuditEntry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := min(len(list), max(maxAuditQueue-len(a.queue), 0))
	a.queue = append(list[:kept:kept], a.queue...)
	for _, e := range list[kept:] {
		a.count(e)
	}
}

// run writes entries until ctx ends, and then those that are left.
func (a *auditor) run(ctx context.Context) error {
	tick := time.NewTicker(auditEvery)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAuditTimeout)
			defer cancel()
			if err := a.write(last, true); err != nil {
				a.log.Warn("the last entries of the audit could not be written", "error", err)
			}
			return context.Cause(ctx)
		case <-tick.C:
		}
		err := a.write(ctx, false)
		if err != nil && !failed && ctx.Err() == nil {
			a.log.Warn("the audit of requests cannot be written; retrying", "error", err)
		}
		failed = err != nil
	}
}

// RunAudit writes the audit of requests into the catalog until ctx ends.
func (s *Server) RunAudit(ctx context.Context) error { return s.backend.audit.run(ctx) }

// auditEntry reports whether an organization may have one more entry by itself.
func (l *limits) auditEntry(org string) bool {
	if l.audits.wait(org, l.now()) == 0 {
		return true
	}
	l.metrics.limited.WithLabelValues(string(quotaAudit)).Inc()
	return false
}

// addressText formats an address, "" if it is unknown.
func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
