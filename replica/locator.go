package replica

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

	"firescan/catalog"
	"firescan/index"
)

const (
	totalsPattern = "GET /shards/{destination}/totals"
	// totalsTimeout bounds the request for totals to one node.
	totalsTimeout = 2 * time.Second
)

// A Locator finds nodes that hold a shard. It is safe for concurrent use.
type Locator struct {
	Node    string // id of this node
	Catalog *catalog.Catalog
	Index   *index.Store
	// Members returns the nodes of the cluster.
	Members func() []Member
	// Client sends requests to "https://<node id>/…".
	Client *http.Client
}

// Holder returns a node that holds the newest index of a destination, chosen at random to
// spread the load; false when this node holds it, or no other that is alive.
func (l *Locator) Holder(destination string) (node string, ok bool) {
	holders := l.holders(destination)
	if len(holders) == 0 {
		return "", false
	}
	return holders[0], true
}

// holders returns, in random order, the other nodes that are alive and hold the newest index
// of a destination; none when this node holds it.
func (l *Locator) holders(destination string) (alive []string) {
	holders := map[string]bool{}
	newest := ""
	if err := l.Catalog.View(func(tx *catalog.Tx) error {
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
	if own, _, ok := l.Index.Generation(destination); ok && own == newest {
		return nil
	}
	for _, m := range l.Members() {
		if m.Alive && m.ID != l.Node && holders[m.ID] {
			alive = append(alive, m.ID)
		}
	}
	rand.Shuffle(len(alive), func(i, j int) { alive[i], alive[j] = alive[j], alive[i] })
	return alive
}

// Transport returns the transport for requests to holders.
func (l *Locator) Transport() http.RoundTripper { return l.Client.Transport }

// Totals asks one holder after the other for the totals of a destination. The error is
// index.ErrNoShard without a holder, else it wraps ErrUnavailable.
func (l *Locator) Totals(ctx context.Context, destination string) (t index.Totals, err error) {
	err = index.ErrNoShard
	for _, node := range l.holders(destination) {
		t, failed := l.totals(ctx, node, destination)
		if failed == nil {
			return t, nil
		}
		if err = fmt.Errorf("%w: ask node %s for the totals of %s: %w", ErrUnavailable, node, destination, failed); ctx.Err() != nil {
			break
		}
	}
	return index.Totals{}, err
}

func (l *Locator) totals(ctx context.Context, node, destination string) (t index.Totals, err error) {
	ctx, cancel := context.WithTimeout(ctx, totalsTimeout)
	defer cancel()
	address := url.URL{
		Scheme: "https", Host: node, Path: "/shards/" + destination + "/totals",
		// The holder must have applied the changes that this node has.
		RawQuery: "at=" + strconv.FormatUint(l.Catalog.AppliedIndex(), 10),
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return t, err
	}
	resp, err := l.Client.Do(req)
	if err != nil {
		return t, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return t, fmt.Errorf("it responded %s", resp.Status)
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<10)).Decode(&t)
	return t, err
}

// Register registers the handler for the Totals of other nodes.
func (r *Replicator) Register(handle func(pattern string, h http.Handler)) {
	handle(totalsPattern, http.HandlerFunc(r.serveTotals))
}

// serveTotals sends the totals of a shard of this node.
func (r *Replicator) serveTotals(w http.ResponseWriter, req *http.Request) {
	at, err := strconv.ParseUint(req.FormValue("at"), 10, 64)
	if err != nil {
		http.Error(w, "at is not an index of the catalog", http.StatusBadRequest)
		return
	}
	for {
		changed := r.config.Catalog.Changed()
		if r.config.Catalog.AppliedIndex() >= at {
			break
		}
		select {
		case <-changed:
		case <-req.Context().Done():
			return
		}
	}
	view, err := r.View(req.Context(), req.PathValue("destination"))
	if errors.Is(err, index.ErrNoShard) {
		http.Error(w, "this node does not have the shard", http.StatusNotFound)
		return
	}
	if err != nil {
		r.config.Logger.Warn("another node asked for the totals of a shard that cannot be read", "error", err)
		http.Error(w, "the shard cannot be read", http.StatusServiceUnavailable)
		return
	}
	defer view.Release()
	stats := view.Stats()
	_ = json.NewEncoder(w).Encode(stats.Totals()) // fails only when the other node has gone
}
