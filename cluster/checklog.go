package cluster

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// checkLog refuses a log that lacks entries which the catalog has applied: new
// entries would be given numbers that the catalog takes for done, and lost. A new
// directory of the log beside a catalog is the same mistake.
func checkLog(c Config, log raft.LogStore, s *snapshots) error {
	last, err := log.LastIndex()
	if err != nil {
		return fmt.Errorf("read the log in %s: %w", c.Dir, err)
	}
	m, err := s.metadata()
	if err != nil {
		return err
	}
	// A catalog that came from another node holds only what a majority had committed.
	last = max(last, m.Index, m.Reached)
	if applied := c.Catalog.AppliedIndex(); applied > last {
		return fmt.Errorf("the catalog has applied entry %d, but the log in %s ends at %d: it was removed or put back from an older copy; put back the log that belongs to the catalog", applied, c.Dir, last)
	}
	return nil
}
