package scanner

import (
	"errors"
	"fmt"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
	"firescan/provider"
)

// A job is a sync that this leader runs, from wherever the catalog says it stands.
type job struct {
	config *CoordinatorConfig
	// nextSeq returns the sequence number of the next assignment.
	nextSeq func() uint64
	sync    *pb.Sync
	// term is that of this leader; inherited means that an earlier leader may have begun.
	term      uint64
	inherited bool
	tracker   progressTracker

	destination *pb.Destination
	bucket      provider.Bucket
	generation  *pb.Generation // nil before the first
}

func newJob(config *CoordinatorConfig, nextSeq func() uint64, s *pb.Sync, term uint64, inherited bool) *job {
	return &job{
		config: config, nextSeq: nextSeq, sync: s, term: term, inherited: inherited,
		tracker: progressTracker{sync: s, started: time.Now()},
	}
}

// load reads the state of the sync from the catalog.
func (j *job) load() error {
	return j.config.Catalog.View(func(tx *catalog.Tx) (err error) {
		if j.sync, err = tx.Sync(j.sync.Org, j.sync.Id); err != nil {
			return fmt.Errorf("read the sync: %w", err)
		}
		if j.destination, err = tx.Destination(j.sync.Org, j.sync.DestinationId); err != nil {
			return fmt.Errorf("read the destination: %w", err)
		}
		j.generation, err = tx.Generation(j.sync.DestinationId)
		if errors.Is(err, catalog.ErrNotFound) {
			err = nil
		}
		return err
	})
}

// space returns the key space of the sync.
func (j *job) space() keyspace.Range { return keyspace.NewRange(j.sync.Start, j.sync.End) }

// recordedCounters count what is in the recorded segments.
func (j *job) recordedCounters() counters {
	return counters{j.sync.FilesScanned, j.sync.BytesScanned, j.sync.OrphanFiles}
}

// recordedRanges returns the ranges of the recorded segments.
func (j *job) recordedRanges() (done keyspace.RangeSet, err error) {
	err = j.config.Catalog.View(func(tx *catalog.Tx) error {
		segments, err := tx.Segments(j.sync.Id)
		for _, s := range segments {
			done = append(done, keyspace.NewRange(s.Start, s.End))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the recorded segments: %w", err)
	}
	return keyspace.NewRangeSet(done), nil
}
