package catalog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"runtime"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// stepsPerPause and stepsPerTrim are the number of keys after which a scrub lets others
	// run, and returns memory.
	stepsPerPause = 1 << 11
	stepsPerTrim  = 1 << 17
)

// scrub compares the file, in one read transaction, with what its records say: links,
// counters, homes, prefixes, marks and indexes. What they should be is not stored, but summed
// up: a hash of each expected pair is added and a hash of each actual pair subtracted, which
// needs no order and next to no memory. So it is found when a pair is wrong, missing or too
// many, wherever it lies.
//
// That a pair exists does not mean that a lookup finds it: the keys in the inner pages of the
// tree guide lookups, and iterating does not read them. So each pair is looked up, too.
func (c *Catalog) scrub(ctx context.Context) (err error) {
	tx, err := c.begin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	// A damaged page may lead anywhere, also beyond the end of the file.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if reason := recover(); reason != nil {
			err = damaged("its pages cannot be read (%v)", reason)
			c.log.Error("reading the catalog failed", "file", c.path, "reason", reason, "stack", string(debug.Stack()))
		}
	}()
	begun := time.Now()
	s := &scrubber{
		ctx: ctx, tx: &Tx{tx: tx}, trim: c.Trim, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		sums: map[string]*sum{}, counters: map[string]Counters{},
	}
	if err := s.run(); err != nil {
		return err
	}
	c.metrics.observeScrub(time.Since(begun))
	c.log.Debug("the catalog agrees with its records", "keys", s.steps, "took", time.Since(begun))
	return nil
}

// A sum is a sum of hashes of pairs, which does not depend on their order.
type sum struct {
	a, b  uint64
	pairs int64
}

// scrubber is one pass over the catalog.
type scrubber struct {
	ctx      context.Context //nolint:containedctx // that of the pass
	tx       *Tx
	trim     func()
	steps    int
	seeds    [2]maphash.Seed
	buf      []byte
	sums     map[string]*sum     // expected minus actual pairs, by bucket
	counters map[string]Counters // expected, by org and destination
}

func (s *scrubber) run() error {
	for _, part := range []func() error{
		s.destinations, s.backups, s.schedules, s.pitrs, s.links, s.recordIDs, s.storedCounters, s.prefixes, s.intents, s.facts,
	} {
		if err := part(); err != nil {
			return err
		}
	}
	for name, n := range s.sums {
		if *n != (sum{}) {
			return damaged("%s do not agree with the records (%+d)", name, -n.pairs)
		}
	}
	return nil
}

// of returns the sum of a bucket.
func (s *scrubber) of(name string) *sum {
	n := s.sums[name]
	if n == nil {
		n = &sum{}
		s.sums[name] = n
	}
	return n
}

// expect adds a pair, and found subtracts it.
func (s *scrubber) expect(in *sum, key, value []byte) {
	a, b := s.hash(key, value)
	in.a, in.b, in.pairs = in.a+a, in.b+b, in.pairs+1
}

func (s *scrubber) found(in *sum, key, value []byte) {
	a, b := s.hash(key, value)
	in.a, in.b, in.pairs = in.a-a, in.b-b, in.pairs-1
}

func (s *scrubber) hash(key, value []byte) (a, b uint64) {
	s.buf = binary.AppendUvarint(s.buf[:0], uint64(len(key)))
	s.buf = append(append(s.buf, key...), value...)
	return maphash.Bytes(s.seeds[0], s.buf), maphash.Bytes(s.seeds[1], s.buf)
}

// step is called for each key.
func (s *scrubber) step() error {
	s.steps++
	if s.steps%stepsPerTrim == 0 {
		s.trim()
	}
	if s.steps%stepsPerPause == 0 {
		runtime.Gosched()
		return s.ctx.Err()
	}
	return nil
}

// each calls fn for each pair of a bucket, which may be nil, and checks that the keys ascend
// and that lookups find them.
func (s *scrubber) each(what string, b *bbolt.Bucket, fn func(k, v []byte) error) error {
	if b == nil {
		return nil
	}
	all, search := b.Cursor(), b.Cursor()
	var last []byte
	for k, v := all.First(); k != nil; k, v = all.Next() {
		if err := s.step(); err != nil {
			return err
		}
		if last != nil && bytes.Compare(last, k) >= 0 {
			return damaged("the keys of %s are out of order at %q", what, k)
		}
		last = k
		if got, _ := search.Seek(k); !bytes.Equal(got, k) {
			return damaged("a lookup in %s does not find the key %q", what, k)
		}
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// nested calls fn for each bucket in a bucket.
func (s *scrubber) nested(name string, fn func(id string, b *bbolt.Bucket) error) error {
	top := s.tx.bucket(name)
	return s.each(name, top, func(k, _ []byte) error {
		b := top.Bucket(k)
		if b == nil {
			return damaged("%q in %s is not a bucket", k, name)
		}
		return fn(string(k), b)
	})
}

// links compares the links of all buckets with the sums of backups. It looks each stem up,
// as the classification and deletions do.
func (s *scrubber) links() error {
	return s.nested(inLinks, func(bucketID string, b *bbolt.Bucket) error {
		in := s.of(linksOf(bucketID))
		reader := linkReader{seed: linkSeed(bucketID)}
		all, search := b.Cursor(), b.Cursor()
		var last, stem, seek []byte
		for k, v := all.First(); k != nil; k, v = all.Next() {
			if err := s.step(); err != nil {
				return err
			}
			if last != nil && bytes.Compare(last, k) >= 0 {
				return damaged("the links of bucket %q are out of order at %q", bucketID, k)
			}
			if err := reader.read(k, v); err != nil {
				return err
			}
			if last == nil || !bytes.Equal(stem, reader.link.Stem) {
				stem = append(stem[:0], reader.link.Stem...)
				seek = appendStem(seek[:0], stem)
				if got, _ := search.Seek(seek); !bytes.Equal(got, k) {
					return damaged("a lookup of %q does not find the link %q", stem, k)
				}
			}
			last = k
			s.found(in, k, v)
		}
		return nil
	})
}

func linksOf(bucketID string) string { return "the links of bucket " + bucketID }

// Verify returns nil if the catalog file was compared with its records within maxAge, and
// compares it otherwise. Its error is an ErrCatalogDamaged, or why it could not compare.
// Damage may happen while the node is down, so the first call after Open compares.
func (c *Catalog) Verify(ctx context.Context, maxAge time.Duration) error {
	if err := c.Damage(); err != nil {
		return err
	}
	run := c.scrubs.join(maxAge, c.scrub, c.noteDamage) //nolint:contextcheck // others wait for it, too
	if run == nil {
		return nil
	}
	select {
	case <-run.done:
		return run.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
