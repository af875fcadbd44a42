package node

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestNoStatisticsAreDropped checks that each organization is published, however many syncs
// end before the first one is, and once if several of its syncs end.
func TestNoStatisticsAreDropped(t *testing.T) {
	p := newPublisher(nil, nil)
	const orgs = 1000
	for i := range 2 * orgs {
		p.add(fmt.Sprint("org-", i%orgs))
	}
	seen := map[string]bool{}
	for range orgs {
		org, err := p.next(t.Context())
		if err != nil || seen[org] {
			t.Fatalf("%q, %v", org, err)
		}
		seen[org] = true
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if org, err := p.next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%q, %v", org, err)
	}
	woken := make(chan string)
	go func() {
		org, _ := p.next(t.Context())
		woken <- org
	}()
	p.add("late")
	if org := <-woken; org != "late" {
		t.Errorf("woken for %q", org)
	}
}
