package api

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// steady is the Retry-After of quotas for objects, which no time by itself makes room for.
const steady = time.Minute

// within calls do, which creates objects of an organization, unless there are more than
// limit of them then. The function count returns how many there will be. Creations of an
// organization on this node run one after the other, so that requests at the same time do
// not all find the last place; other nodes may add one each.
func (c *call) within(q quota, org string, limit int, count func(*catalog.Tx) (int, error), do func() error) error {
	if limit == 0 || c.once != nil && c.once.applied { // it exists already
		return do()
	}
	leave, err := c.backend.flights.enter(c.context(), fmt.Sprintf("%s\x00%s\x00", q, org))
	if err != nil {
		return context.Cause(c.context())
	}
	defer leave()
	if err := c.backend.consensus.Barrier(c.context()); err != nil {
		return err
	}
	var n int
	if err := c.backend.catalog.View(func(tx *catalog.Tx) (err error) {
		n, err = count(tx)
		return err
	}); err != nil {
		return err
	}
	if n > limit {
		return c.backend.limits.exceeded(q, limit, steady, fmt.Sprintf(
			"The organization may have %d %s and would have %d; delete or finish some, or have the limit raised", limit, q, n))
	}
	return do()
}

// countDestinations returns the number of destinations with one more.
func countDestinations(org string) func(*catalog.Tx) (int, error) {
	return func(tx *catalog.Tx) (int, error) {
		all, err := tx.Destinations(org)
		return len(all) + 1, err
	}
}

// countTokens returns the number of valid tokens with one more.
func (b *backend) countTokens(org string) func(*catalog.Tx) (int, error) {
	return func(tx *catalog.Tx) (n int, err error) {
		all, err := tx.Tokens()
		for _, t := range all {
			if t.Org == org && !b.expired(t) {
				n++
			}
		}
		return n + 1, err
	}
}

// countSyncs returns the number of running syncs when those of some destinations run, too.
func countSyncs(org string, started []*pb.Destination) func(*catalog.Tx) (int, error) {
	return func(tx *catalog.Tx) (int, error) {
		running, err := tx.RunningSyncs()
		busy := map[string]bool{}
		for _, s := range running {
			if s.Org == org {
				busy[s.DestinationId] = true
			}
		}
		before := len(busy)
		for _, d := range started {
			busy[d.Id] = true
		}
		if len(busy) == before {
			return 0, err // all are joined
		}
		return len(busy), err
	}
}

// makeRoom has an answer replace the oldest ones of its organization that are too many. A
// client repeats a request within minutes, if at all, so these are missed least. Without an
// organization they are those of operators.
func (b *backend) makeRoom(a *pb.StoreAnswer) error {
	number, bytes := cmp.Or(b.limits.StoredResponses, math.MaxInt), cmp.Or(b.limits.StoredResponseBytes, math.MaxInt)
	err := b.catalog.View(func(tx *catalog.Tx) (err error) {
		a.Forget, err = tx.AnswersAbove(a.Org, proto.Size(a), number, bytes)
		return err
	})
	b.limits.metrics.limited.WithLabelValues(string(quotaStoredResponses)).Add(float64(len(a.Forget)))
	return err
}

// beginImport returns when an import of the organization may begin. The caller calls end.
func (l *limits) beginImport(org string) (end func(), err error) {
	end, ok := l.imports.take(org, l.Imports)
	if !ok {
		return nil, l.exceeded(quotaImports, l.Imports, importWait, fmt.Sprintf(
			"The organization has %d imports in progress on this node, the maximum; wait for one to end", l.Imports))
	}
	return end, nil
}

// importWait is the Retry-After of an import.
const importWait = 10 * time.Second
