package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"firescan/api"
	"firescan/catalog"
	"firescan/cluster"
)

// What the cluster cannot do at the moment is told as 503, whatever wraps it; a refusal
// and a client that went away stay what they are.
func TestClusterErrorsAreAnswerable(t *testing.T) {
	for _, cause := range []error{
		cluster.ErrFull, cluster.ErrClosed, cluster.ErrUnknown,
		fmt.Errorf("%w: %w", cluster.ErrUnknown, context.Canceled), // by us, since the leader stepped down
		fmt.Errorf("%w: %w", cluster.ErrUnknown, context.DeadlineExceeded), fmt.Errorf("%w: %w", cluster.ErrUnknown, io.EOF),
	} {
		err := answerable(t.Context(), fmt.Errorf("propose: %w", cause))
		told, ok := errors.AsType[*api.Error](err)
		if !ok || told.Code != api.CodeNoLeader || told.Message == "" || !errors.Is(err, cause) {
			t.Errorf("%v is told as %v", cause, err)
		}
		// After these it may be that something was written.
		if errors.Is(err, api.ErrNoLeader) {
			t.Errorf("%v is told as if nothing was written: %v", cause, err)
		}
	}
	for _, none := range []error{cluster.ErrNoLeader, fmt.Errorf("%w (%w)", cluster.ErrNoLeader, context.Canceled)} {
		err := answerable(t.Context(), none)
		if told, ok := errors.AsType[*api.Error](err); !ok || told.Code != api.CodeNoLeader || !errors.Is(err, api.ErrNoLeader) {
			t.Errorf("%v is told as %v", none, err)
		}
	}
	left, leave := context.WithCancel(t.Context())
	leave()
	gone := fmt.Errorf("%w: %w", cluster.ErrUnknown, context.Canceled)
	for _, same := range []error{nil, gone, catalog.ErrNotFound, io.EOF} {
		if err := answerable(left, same); !errors.Is(err, same) || (err != nil && err.Error() != same.Error()) {
			t.Errorf("%v became %v", same, err)
		}
	}
}
