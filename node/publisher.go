package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"firescan/api"
	"firescan/catalog"
	"firescan/scanner"
)

// statsRetry is the wait before statistics that could not be read are tried again.
const statsRetry = time.Second

// A publisher publishes the progress of syncs, and the statistics of an organization after
// each of its syncs.
type publisher struct {
	api    func() *api.Server // is created later than the publisher
	logger *slog.Logger
	signal catalog.Signal

	mu sync.Mutex
	// synced has the organizations with a completed sync whose statistics are not published
	// yet. It is a set, so that none is dropped however many syncs end at once.
	synced map[string]struct{}
}

func newPublisher(server func() *api.Server, logger *slog.Logger) *publisher {
	return &publisher{api: server, logger: logger, synced: map[string]struct{}{}}
}

// Publish implements scanner.Publisher.
func (p *publisher) Publish(s scanner.Progress) {
	p.api().Publish(api.SyncProgress(s))
	if s.Status == catalog.SyncCompleted {
		p.add(s.Org)
	}
}

func (p *publisher) add(org string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.synced[org] = struct{}{}
	p.signal.Broadcast()
}

// next returns an organization whose statistics are to be published, and waits for one.
func (p *publisher) next(ctx context.Context) (org string, err error) {
	for {
		added := p.signal.Wait()
		if org, ok := p.take(); ok {
			return org, nil
		}
		select {
		case <-added:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

func (p *publisher) take() (org string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for org := range p.synced {
		delete(p.synced, org)
		return org, true
	}
	return "", false
}

// run publishes statistics until ctx ends. Those that cannot be read are tried again: clients
// must not keep the ones from before the sync.
func (p *publisher) run(ctx context.Context) error {
	for {
		org, err := p.next(ctx)
		if err != nil {
			return err
		}
		stats, err := p.api().Stats(ctx, org)
		if err == nil {
			p.api().Publish(api.StatsUpdate(org, stats))
			continue
		}
		p.logger.Warn("reading the statistics after a sync failed; trying again", "organization", org, "error", err)
		p.add(org)
		select {
		case <-time.After(statsRetry):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
