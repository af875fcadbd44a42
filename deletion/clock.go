package deletion

import (
	"context"
	"fmt"
	"time"

	pb "firescan/catalog/catalogpb"
	"firescan/provider"
)

const (
	// maxClockOffset is the largest difference to the provider's clock at which a cleanup
	// trusts the age of files.
	maxClockOffset = 5 * time.Minute
	// clockTimeout bounds the request that measures the difference.
	clockTimeout = 10 * time.Second
	// clockKey is the name, below the destination's path, that this request looks up.
	clockKey = ".firescan-clock"
)

// A ClockError is the reason why a cleanup was not started: the provider's clock and this
// node's differ so much that the age of files is unknown.
type ClockError struct {
	// Offset is how far the provider's clock is ahead; negative when it is behind.
	Offset time.Duration
}

func (e *ClockError) Error() string {
	where := "ahead of"
	if e.Offset < 0 {
		where = "behind"
	}
	return fmt.Sprintf("the clock of the storage provider is %v %s that of this node, and at most %v is allowed: "+
		"the age of files is unknown until the clocks are set right", e.Offset.Abs().Round(time.Second), where, maxClockOffset)
}

// inProviderTime returns a request whose ages are by the provider's clock, as far as it is
// known, or a *ClockError. It makes a request to the provider if measure is set.
func (d *Deleter) inProviderTime(ctx context.Context, r CleanupRequest, measure bool) (CleanupRequest, error) {
	bucket, err := d.config.Buckets.Open(ctx, r.Destination)
	if err != nil {
		return r, nil //nolint:nilerr // what follows needs no bucket, or opens it again
	}
	if measure {
		d.measureClock(ctx, bucket, r.Destination)
	}
	offset, known := provider.ClockOffset(bucket)
	switch {
	case !known:
		return r, nil
	case offset.Abs() > maxClockOffset:
		return r, &ClockError{Offset: offset}
	}
	r.Before += offset.Milliseconds()
	return r, nil
}

// measureClock makes a request whose response shows the provider's clock, whatever else it
// says.
func (d *Deleter) measureClock(ctx context.Context, bucket provider.Bucket, dest *pb.Destination) {
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	op := operation{destination: dest}
	if _, err := bucket.Stat(ctx, op.prefix()+clockKey); err != nil && provider.KindOf(err) != provider.NotFound {
		d.config.Logger.Warn("the provider's clock could not be read", "destination", dest.Id, "error", err)
	}
}
