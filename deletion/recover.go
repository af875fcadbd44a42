package deletion

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
	"firescan/provider"
)

const (
	// resolveAtOnce bounds the intents that are looked at at once.
	resolveAtOnce = 8
	// resolveTime bounds a look at one, so that a provider that hangs keeps no other waiting
	// for long, and resolveAgain is how long after it failed it is asked again.
	resolveTime  = 20 * time.Second
	resolveAgain = 15 * time.Second
)

// watched is what a leader knows of an intent.
type watched struct {
	since time.Time // when it was first seen
	again time.Time // not to be looked at before
}

// Resolve settles what other nodes, or earlier runs of this one, have left open: it looks
// at the files and records in the catalog what is true. It deletes none. It is the leader's
// and runs until ctx ends.
func (d *Deleter) Resolve(ctx context.Context) error {
	known := map[string]*watched{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := d.resolveAll(ctx, known); err != nil && ctx.Err() == nil {
			d.Logger.Error("open deletions could not be read; tried again in a second", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// resolveAll looks at the intents once.
func (d *Deleter) resolveAll(ctx context.Context, known map[string]*watched) error {
	var intents []*pb.Intent
	if err := d.Catalog.View(func(tx *catalog.Tx) (err error) {
		intents, err = tx.Intents()
		return err
	}); err != nil {
		return err
	}
	d.metrics.open.Set(float64(len(intents)))
	now := time.Now()
	for id := range known {
		if !slices.ContainsFunc(intents, func(n *pb.Intent) bool { return n.Id == id }) {
			delete(known, id)
		}
	}
	var group errgroup.Group
	group.SetLimit(resolveAtOnce)
	for _, n := range intents {
		k := known[n.Id]
		if k == nil {
			k = &watched{since: now}
			known[n.Id] = k
		}
		settled := now.Sub(k.since) >= d.settleOthers
		own := strings.HasPrefix(n.Node, d.Node+"/") && n.Node != d.owner()
		if !settled && !own || now.Before(k.again) {
			continue
		}
		settled = settled || now.Sub(d.opened) >= d.settleOwn
		group.Go(func() error {
			if err := d.resolve(ctx, n, settled); err != nil {
				k.again = time.Now().Add(resolveAgain)
				d.Logger.Warn("an open deletion could not be settled; tried again in some seconds", "intent", n.Id, "destination", n.DestinationId, "error", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// resolve settles an intent that nobody works on. One of which files are still there is
// left open unless what was sent to the provider has come to its end.
func (d *Deleter) resolve(ctx context.Context, n *pb.Intent, settled bool) error {
	candidates := make([]*candidate, len(n.Paths))
	for i, path := range n.Paths {
		candidates[i] = &candidate{path: path, needless: true}
	}
	slices.SortFunc(candidates, func(a, b *candidate) int { return bytes.Compare(a.path, b.path) })
	if err := d.lookAgain(ctx, n, candidates); err != nil {
		return err
	}
	finish := &pb.FinishDelete{Org: n.Org, Id: n.Id, At: time.Now().UnixMilli()}
	gone := map[string]bool{}
	for _, t := range candidates {
		if t.choose() {
			t.fail(errLeft)
		}
		if !t.gone && !settled {
			return nil
		}
		gone[string(t.path)] = t.gone
		finish.Outcomes = append(finish.Outcomes, t.Outcome().message())
	}
	var err error
	if finish.DeleteBackups, err = d.bereft(n, gone); err != nil {
		return err
	}
	_, err = d.Proposer.Propose(ctx, finish)
	if errors.Is(err, catalog.ErrConflict) {
		return nil // it was concluded meanwhile
	}
	if err == nil {
		d.metrics.resolved.Inc()
		d.Logger.Info("settled a deletion that was left open", "intent", n.Id, "destination", n.DestinationId, "begun_by", n.Node, "files", len(candidates))
	}
	return err
}

// errLeft is why a file was not deleted.
var errLeft = errors.New("the node that was to delete it stopped")

// lookAgain finds out what is left of the files of an intent. A provider that cannot be
// asked for good must not keep them marked for good: then each has failed. An
// error is one that passes.
func (d *Deleter) lookAgain(ctx context.Context, n *pb.Intent, candidates []*candidate) error {
	var dest *pb.Destination
	if err := d.Catalog.View(func(tx *catalog.Tx) (err error) {
		dest, err = tx.Destination(n.Org, n.DestinationId)
		return err
	}); err != nil {
		return err
	}
	bucket, err := d.Buckets.Open(ctx, dest)
	if err == nil {
		w := &deletion{Deleter: d, destination: dest, bucket: bucket}
		ctx, cancel := context.WithTimeout(ctx, resolveTime)
		defer cancel()
		w.look(ctx, candidates)
	}
	for _, t := range candidates {
		if t.err == nil {
			t.err = err
		}
		if t.err != nil && passes(t.err) {
			return t.err
		}
	}
	return nil
}

// passes tells whether what kept a file from being looked at may pass by itself. What is
// wrong with the destination's settings does not.
func passes(err error) bool {
	switch provider.KindOf(err) {
	case provider.Credentials, provider.Denied, provider.NoBucket, provider.Forbidden, provider.Invalid:
		return false
	}
	return true
}

// bereft are those backups of an intent of which all files are gone: what was asked for is
// done with their records gone, too.
func (d *Deleter) bereft(n *pb.Intent, gone map[string]bool) (ids []string, err error) {
	kept := map[string]bool{} // by stem
	for path, gone := range gone {
		if !gone {
			kept[string(keyspace.Stem([]byte(path)))] = true
		}
	}
	err = d.Catalog.View(func(tx *catalog.Tx) error {
		for _, id := range n.BackupIds {
			record, err := tx.Backup(n.Org, id)
			if errors.Is(err, catalog.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			named := record.Files
			if path := record.StoragePath; len(path) > 0 {
				if kept[string(keyspace.Stem(path))] {
					continue
				}
				named = append(slices.Clone(named), path)
			}
			// A file that the intent does not have is one that was not asked about.
			left := slices.ContainsFunc(named, func(path []byte) bool { return !gone[string(path)] })
			if !left && record.StorageId == n.DestinationId {
				ids = append(ids, id)
			}
		}
		return nil
	})
	return ids, err
}
