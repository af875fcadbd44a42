package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"firescan/catalog"
)

const (
	// catalogPath is where nodes fetch the catalog of another node: "?index=" the least index
	// that it must have applied. The response is a catalog snapshot.
	catalogPath = "/cluster/catalog"
	// catalogIndexHeader has the index that the snapshot includes.
	catalogIndexHeader = "Firescan-Index"
	// repairPause is the time between two attempts to replace a damaged catalog.
	repairPause = 15 * time.Second
	// soundFor is the age up to which a comparison of the catalog with its records counts for
	// sending it to others.
	soundFor = 10 * time.Minute
	// fetchTimeout bounds the fetch of a catalog, during which this node applies nothing.
	fetchTimeout = 15 * time.Minute
)

// repair sets this node aside while its catalog is damaged: it does not lead, and replaces
// the catalog by that of a node whose catalog is sound. Its log and its votes are not
// affected, so that is no new node: Raft goes on where it was, and entries that the new
// catalog includes are skipped.
type repair struct {
	members *members
	catalog *catalog.Catalog
	raft    *raft.Raft
	fsm     *fsm
	tick    time.Duration
	logger  *slog.Logger
	// active is set while the catalog is being replaced.
	active atomic.Bool
	ctx    context.Context //nolint:containedctx // that of the cluster
}

// run looks for damage until the cluster closes.
func (r *repair) run() {
	var next time.Time
	for {
		select {
		case <-time.After(r.tick):
		case <-r.ctx.Done():
			return
		}
		damage := r.catalog.Damage()
		if damage == nil || r.members.onlyVoter() {
			continue
		}
		if r.raft.State() == raft.Leader {
			if err := r.raft.LeadershipTransfer().Error(); err != nil {
				r.logger.Warn("this node leads with a damaged catalog, and the leadership could not be transferred; retrying", "error", err)
			}
			continue
		}
		if time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(repairPause)
		if err := r.replace(); err != nil && r.ctx.Err() == nil {
			r.logger.Error("the damaged catalog could not be replaced; retrying", "after", repairPause, "damage", damage, "error", err)
		}
	}
}

// replace fetches the catalog of the first node that has a sound one.
func (r *repair) replace() error {
	var errs []error
	for _, p := range r.members.peers("") {
		if p.Self || !p.Alive {
			continue
		}
		err := r.fetch(p.ID)
		if err == nil {
			r.logger.Info("the damaged catalog was replaced by that of another node", "peer", p.ID, "index", r.catalog.AppliedIndex())
			return nil
		}
		errs = append(errs, fmt.Errorf("node %s: %w", p.ID, err))
	}
	if errs == nil {
		return errors.New("no other node is alive")
	}
	return errors.Join(errs...)
}

// fetch replaces the catalog by that of a node. Nothing is applied meanwhile, since the new
// catalog must not be older than this one: Raft does not apply an entry twice.
func (r *repair) fetch(id string) error {
	r.fsm.mu.Lock()
	defer r.fsm.mu.Unlock()
	r.active.Store(true)
	defer r.active.Store(false)
	least := r.catalog.AppliedIndex()
	ctx, cancel := context.WithTimeout(r.ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://%s%s?index=%d", id, catalogPath, least), http.NoBody)
	if err != nil {
		return err
	}
	response, err := r.members.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return fmt.Errorf("status %d: %s", response.StatusCode, reason)
	}
	index, err := strconv.ParseUint(response.Header.Get(catalogIndexHeader), 10, 64)
	if err != nil || index < least {
		return fmt.Errorf("its catalog is at index %d, which is before %d (%w)", index, least, err)
	}
	// It may be ahead of the log of this node (see logStore.checkComplete).
	if err := r.fsm.snapshots.reach(index); err != nil {
		return err
	}
	return r.catalog.Restore(response.Body)
}

// serve sends the catalog of this node, if it is sound.
func (r *repair) serve(w http.ResponseWriter, q *http.Request) {
	refuse := func(err error) { http.Error(w, err.Error(), http.StatusServiceUnavailable) }
	least, err := strconv.ParseUint(q.FormValue("index"), 10, 64)
	if err != nil {
		http.Error(w, "index is not a number", http.StatusBadRequest)
		return
	}
	if err := r.catalog.Verify(q.Context(), soundFor); err != nil {
		refuse(err)
		return
	}
	waiting, cancel := context.WithTimeout(q.Context(), verdictWait)
	defer cancel()
	if err := r.catalog.WaitApplied(waiting, least); err != nil {
		refuse(fmt.Errorf("index %d is not applied yet: %w", least, err))
		return
	}
	content, err := r.fsm.snapshots.copyCatalog()
	if err != nil {
		refuse(err)
		return
	}
	defer content.Close()
	info, err := catalog.ReadSnapshotInfo(content)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil {
		refuse(err)
		return
	}
	w.Header().Set(catalogIndexHeader, strconv.FormatUint(info.Index, 10))
	if _, err := io.Copy(w, content); err != nil {
		r.logger.Info("sending the catalog to another node failed", "error", err)
	}
}
