package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"firescan/catalog"
)

const (
	// verifyInterval is the time between two comparisons of the catalog with its records.
	verifyInterval = time.Hour
	// verifyRetry is the pause after one that failed or found damage.
	verifyRetry = 2 * time.Second
)

// verifier compares the catalog of this node with its records: at the start, since the disk
// may have changed while the node was down, and then from time to time.
type verifier struct {
	catalog *catalog.Catalog
	log     *slog.Logger
	once    sync.Once
	sound   chan struct{} // closed when the catalog was found to be sound
}

func newVerifier(c *catalog.Catalog, log *slog.Logger) *verifier {
	return &verifier{catalog: c, log: log, sound: make(chan struct{})}
}

// run compares until ctx ends.
func (v *verifier) run(ctx context.Context) error {
	for {
		pause := verifyInterval
		if err := v.catalog.Verify(ctx, verifyInterval/2); err == nil {
			v.once.Do(func() { close(v.sound) })
		} else if ctx.Err() == nil {
			pause = verifyRetry
			if v.catalog.Damage() == nil {
				v.log.Warn("the catalog could not be compared with its records; retrying", "error", err)
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// wait waits until the catalog was found to be sound for the first time.
func (v *verifier) wait(ctx context.Context) error {
	select {
	case <-v.sound:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
