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
	// recoverConcurrency bounds the intents that are recovered at once.
	recoverConcurrency = 8
	// recoverTimeout bounds one attempt, so that a hanging provider does not delay the
	// others for long; recoverRetry is the time until the next attempt.
	recoverTimeout = 20 * time.Second
	recoverRetry   = 15 * time.Second
)

// openIntent is what the leader remembers of an intent.
type openIntent struct {
	since time.Time // first seen
	next  time.Time // earliest next attempt
	// settled reports that its files have an outcome and are only held.
	settled bool
}

// Recover finishes intents that other nodes, or earlier runs of this node, have left open: it
// looks up the files and records in the catalog what it finds. It deletes nothing. The files
// stay marked until no call to delete them can act anymore; then Recover looks them up again
// and releases them. The leader runs it until ctx ends.
func (d *Deleter) Recover(ctx context.Context) error {
	known := map[string]*openIntent{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := d.recoverAll(ctx, known); err != nil && ctx.Err() == nil {
			d.config.Logger.Error("open deletions could not be read; retrying in a second", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// recoverAll makes one pass over the intents.
func (d *Deleter) recoverAll(ctx context.Context, known map[string]*openIntent) error {
	var intents []*pb.Intent
	if err := d.config.Catalog.View(func(tx *catalog.Tx) (err error) {
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
	group.SetLimit(recoverConcurrency)
	for _, n := range intents {
		k := known[n.Id]
		if k == nil {
			k = &openIntent{since: now}
			known[n.Id] = k
		}
		release := now.Sub(k.since) >= d.limits.release
		own := strings.HasPrefix(n.Node, d.config.Node+"/") && n.Node != d.owner()
		abandoned := own || now.Sub(k.since) >= d.limits.abandoned
		if now.Before(k.next) || !release && (k.settled || !abandoned) {
			continue
		}
		group.Go(func() error {
			if err := d.recoverIntent(ctx, n, k, release); err != nil {
				k.next = time.Now().Add(recoverRetry)
				d.config.Logger.Warn("an abandoned deletion could not be recovered; retrying in some seconds",
					"intent", n.Id, "destination", n.DestinationId, "error", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// recoverIntent finishes an intent that no node works on. Which calls were sent is unknown,
// so its files stay marked, unless release reports that no call can act anymore.
func (d *Deleter) recoverIntent(ctx context.Context, n *pb.Intent, k *openIntent, release bool) error {
	var gone map[string]bool
	if err := d.config.Catalog.View(func(tx *catalog.Tx) (err error) {
		gone, err = tx.DeletedBy(n.Org, n.Id)
		return err
	}); err != nil {
		return err
	}
	if k.settled = gone != nil; k.settled && !release {
		return nil
	}
	if gone == nil {
		gone = map[string]bool{}
	}
	candidates := make([]*candidate, len(n.Paths))
	for i, path := range n.Paths {
		candidates[i] = &candidate{path: path, absentOK: true}
	}
	slices.SortFunc(candidates, func(a, b *candidate) int { return bytes.Compare(a.path, b.path) })
	op, err := d.statIntent(ctx, n, candidates)
	if err != nil {
		return err
	}
	finish := &pb.FinishDelete{Org: n.Org, Id: n.Id, At: time.Now().UnixMilli()}
	for _, c := range candidates {
		if c.check() {
			if c.err = errAbandoned; k.settled {
				c.err = errStillExists
			}
		}
		c.ambiguous = !release
		gone[string(c.path)] = c.gone
		finish.Outcomes = append(finish.Outcomes, c.message(op.holds(c)))
	}
	if finish.DeleteBackups, err = d.backupsWithoutFiles(n, gone); err != nil {
		return err
	}
	_, err = d.config.Proposer.Propose(ctx, finish)
	if errors.Is(err, catalog.ErrConflict) {
		return nil // it was finished meanwhile
	}
	switch {
	case err != nil:
	case k.settled:
		d.config.Logger.Info("released files on which a call to delete them could still act",
			"intent", n.Id, "destination", n.DestinationId, "files", len(candidates))
	default:
		k.settled = true
		d.metrics.recovered.Inc()
		d.config.Logger.Info("recovered an abandoned deletion",
			"intent", n.Id, "destination", n.DestinationId, "begun_by", n.Node, "files", len(candidates))
	}
	return err
}

// statIntent looks up the files of an intent. A provider that refuses for good must not keep
// them marked for good: each file then has its error. The returned error is transient.
func (d *Deleter) statIntent(ctx context.Context, n *pb.Intent, candidates []*candidate) (*operation, error) {
	var dest *pb.Destination
	if err := d.config.Catalog.View(func(tx *catalog.Tx) (err error) {
		dest, err = tx.Destination(n.Org, n.DestinationId)
		return err
	}); err != nil {
		return nil, err
	}
	bucket, err := d.config.Buckets.Open(ctx, dest)
	op := &operation{deleter: d, destination: dest, bucket: bucket}
	if c := dest.Conditions; c != nil {
		op.conditions = provider.Conditions{Single: c.Single, Batch: c.Batch}
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
		defer cancel()
		op.stat(ctx, candidates)
	}
	for _, c := range candidates {
		if c.err == nil {
			c.err = err
		}
		if c.err != nil && isTransient(c.err) {
			return nil, c.err
		}
	}
	return op, nil
}

// isTransient reports whether the reason for a failed lookup may disappear by itself. Wrong
// settings of the destination do not.
func isTransient(err error) bool {
	switch provider.KindOf(err) {
	case provider.Credentials, provider.Denied, provider.NoBucket, provider.Forbidden, provider.Invalid:
		return false
	}
	return true
}

// backupsWithoutFiles returns those backups of an intent of which all files are gone: the
// request is complete when their records are gone, too.
func (d *Deleter) backupsWithoutFiles(n *pb.Intent, gone map[string]bool) (ids []string, err error) {
	keptStems := map[string]bool{}
	for path, gone := range gone {
		if !gone {
			keptStems[string(keyspace.Stem([]byte(path)))] = true
		}
	}
	err = d.config.Catalog.View(func(tx *catalog.Tx) error {
		for _, id := range n.BackupIds {
			record, err := tx.Backup(n.Org, id)
			if errors.Is(err, catalog.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			path, named := catalog.BackupKeys(record)
			if len(path) > 0 {
				if keptStems[string(keyspace.Stem(path))] {
					continue
				}
				named = append(slices.Clone(named), path)
			}
			// A file that is not part of the intent was not asked to be deleted.
			left := slices.ContainsFunc(named, func(path []byte) bool { return !gone[string(path)] })
			if !left && record.StorageId == n.DestinationId {
				ids = append(ids, id)
			}
		}
		return nil
	})
	return ids, err
}
