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

	"firescan/api"
	"firescan/catalog"
	"firescan/cluster"
	"firescan/index"
)

// totalsPath is where a node tells others the sums of a shard that it holds.
const totalsPath = "/shards/{destination}/totals"

// elsewhere finds what this node does not hold on the others.
type elsewhere struct {
	cluster *cluster.Cluster
	catalog *catalog.Catalog
	index   *index.Store
}

var _ api.Elsewhere = elsewhere{}

// Holder implements api.Elsewhere. A node that answers is taken at random, so that the
// load is spread; one that has just died costs a request that its client repeats.
func (e elsewhere) Holder(destination string) (string, bool) {
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
	}); err != nil || newest == "" {
		return "", false
	}
	if own, _, ok := e.index.Generation(destination); ok && own == newest {
		return "", false
	}
	var able []string
	for _, p := range e.cluster.Peers() {
		if holders[p.ID] && p.Alive && !p.Self {
			able = append(able, p.ID)
		}
	}
	if len(able) == 0 {
		return "", false
	}
	return able[rand.IntN(len(able))], true
}

// Transport implements api.Elsewhere.
func (e elsewhere) Transport() http.RoundTripper { return e.cluster.HTTPClient().Transport }

// Totals implements api.Elsewhere.
func (e elsewhere) Totals(ctx context.Context, destination string) (t index.Totals, err error) {
	host, ok := e.Holder(destination)
	if !ok {
		return t, index.ErrNoShard
	}
	address := url.URL{Scheme: "https", Host: host, Path: "/shards/" + destination + "/totals"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return t, err
	}
	resp, err := e.cluster.HTTPClient().Do(req)
	if err != nil {
		return t, fmt.Errorf("%w: ask node %s for the sums of %s: %w", api.ErrUnavailable, host, destination, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return t, fmt.Errorf("%w: node %s answers %s for the sums of %s", api.ErrUnavailable, host, resp.Status, destination)
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<10)).Decode(&t)
	return t, err
}

// tellTotals answers other nodes' Totals.
func (n *Node) tellTotals(w http.ResponseWriter, r *http.Request) {
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
