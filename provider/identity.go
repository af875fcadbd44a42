package provider

import (
	"context"
	"crypto/rand"
)

// ProbeIdentity finds out which other buckets are the one that b writes to, whatever their
// endpoints look like: it writes an object below prefix, looks for it in each of others, and
// deletes it. A bucket that could not be asked has an error in errs, and its value in same is
// meaningless. The error is the reason why the object could not be written.
func ProbeIdentity(ctx context.Context, b Bucket, prefix string, others []Bucket) (same []bool, errs []error, err error) {
	key := prefix + ".firescan-probe-" + rand.Text()
	defer func() {
		if failed := cleanUp(ctx, b, key); err == nil && KindOf(failed) != NotFound {
			err = failed
		}
	}()
	if err := b.Put(ctx, key, []byte(probeText)); err != nil {
		return nil, nil, err
	}
	same, errs = make([]bool, len(others)), make([]error, len(others))
	for i, other := range others {
		_, failure := other.Stat(ctx, key)
		switch {
		case failure == nil:
			same[i] = true // the key is random: nobody else has written it
		case KindOf(failure) != NotFound:
			errs[i] = failure
		}
	}
	return same, errs, nil
}
