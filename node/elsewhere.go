package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"firescan/api"
	"firescan/catalog"
	"firescan/cluster"
	"firescan/index"
	"firescan/replica"
)

const (
	// totalsPath is where a node tells others the sums of a shard that it holds.
	totalsPath = "/shards/{destination}/totals"
	// totalsWait is how long one of them may take to.
	totalsWait = 2 * time.Second
)

// elsewhere finds what this node does not hold on the others.
type elsewhere struct {
	cluster *cluster.Cluster
	catalog *catalog.Catalog
	index   *index.Store
}

var _ api.ShardLocator = elsewhere{}

// Holder implements api.ShardLocator. A node that answers is taken at random, so that the
// load is spread; one that has just died costs a request that its client repeats.
func (e elsewhere) Holder(destination string) (string, bool) {
	able := e.holders(destination)
	if len(able) == 0 {
		return "", false
	}
	return able[0], true
}

// holders lists, in no order, the nodes that are there and hold the newest index of a
// destination; none when this node does.
func (e elsewhere) holders(destination string) (able []string) {
	holders := map[string]bool{}
	newest := ""
	if err := e.catalog.View(func(tx *catalog.Tx) error {
		g, err := tx.Generation(destination)
		if err != nil {
			return err
		}
		newest = g.Id
		all, err := tx.Holders(destination)
		for _, h := range all {
			if h.Generation == newest {
				holders[h.Node] = true
			}
		}
		return err
	}); err != nil {
		return nil
	}
	if own, _, ok := e.index.Generation(destination); ok && own == newest {
		return nil
	}
	for _, p := range e.cluster.Peers() {
		if holders[p.ID] && p.Alive && !p.Self {
			able = append(able, p.ID)
		}
	}
	rand.Shuffle(len(able), func(i, j int) { able[i], able[j] = able[j], able[i] })
	return able
}

// Transport implements api.ShardLocator.
func (e elsewhere) Transport() http.RoundTripper { return e.cluster.HTTPClient().Transport }

// Totals implements api.ShardLocator: the first holder that answers tells.
func (e elsewhere) Totals(ctx context.Context, destination string) (t index.Totals, err error) {
	err = index.ErrNoShard
	for _, host := range e.holders(destination) {
		t, failed := e.totals(ctx, host, destination)
		if failed == nil {
			return t, nil
		}
		if err = fmt.Errorf("%w: ask node %s for the totals of %s: %w", replica.ErrUnavailable, host, destination, failed); ctx.Err() != nil {
			break
		}
	}
	return index.Totals{}, err
}

func (e elsewhere) totals(ctx context.Context, host, destination string) (t index.Totals, err error) {
	ctx, cancel := context.WithTimeout(ctx, totalsWait)
	defer cancel()
	address := url.URL{
		Scheme: "https", Host: host, Path: "/shards/" + destination + "/totals",
		// What this node has seen, the other one must have seen, too.
		RawQuery: "at=" + strconv.FormatUint(e.catalog.AppliedIndex(), 10),
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return t, err
	}
	resp, err := e.cluster.HTTPClient().Do(req)
	if err != nil {
		return t, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return t, fmt.Errorf("it answers %s", resp.Status)
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<10)).Decode(&t)
	return t, err
}

// tellTotals answers other nodes' Totals.
func (n *Node) tellTotals(w http.ResponseWriter, r *http.Request) {
	at, err := strconv.ParseUint(r.FormValue("at"), 10, 64)
	if err != nil {
		http.Error(w, "no index of the catalog", http.StatusBadRequest)
		return
	}
	for {
		changed := n.catalog.Changed()
		if n.catalog.AppliedIndex() >= at {
			break
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
	view, err := n.scan.keeper.View(r.Context(), r.PathValue("destination"))
	if errors.Is(err, index.ErrNoShard) {
		http.Error(w, "no such shard here", http.StatusNotFound)
		return
	}
	if err != nil {
		n.log.Warn("the sums of a shard could not be told to another node", "error", err)
		http.Error(w, "the shard cannot be read", http.StatusServiceUnavailable)
		return
	}
	defer view.Release()
	stats := view.Stats()
	_ = json.NewEncoder(w).Encode(stats.Totals()) // that the other has gone is no failure of ours
}
