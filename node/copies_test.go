package node

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firescan/bench/bucketserver"
	"firescan/catalog"
	"firescan/index"
	"firescan/provider/providertest/ports"
)

// group is nodes that run, on a bucket that they share.
type group struct {
	nodes       []*running
	owner       string // a token
	destination string
	files       uint64
}

// newGroup starts nodes. A node counts as gone after the grace.
func newGroup(t *testing.T, size int, grace time.Duration) *group {
	t.Helper()
	keys, err := bucketserver.NewKeys(bucketserver.Tree, 5000)
	if err != nil {
		t.Fatal(err)
	}
	bucket := bucketserver.New(bucketserver.Options{Keys: keys})
	endpoint, err := bucket.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	secret := filepath.Join(t.TempDir(), "secret")
	if err := writeFile(secret, []byte(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", secretBytes))))); err != nil {
		t.Fatal(err)
	}
	g := &group{nodes: make([]*running, size), files: keys.Len()}
	root := catalog.NewToken()
	gossip := ports.Address(t)
	var all sync.WaitGroup
	for i := range g.nodes {
		c := testConfig(t)
		c.NodeID, c.BootstrapExpect, c.SecretFile, c.RootToken = fmt.Sprint("n", i+1), size, secret, catalog.NewSecret(root)
		c.Join, c.AllowEndpoints = []string{gossip}, []string{"127.0.0.1:*"}
		if i == 0 {
			c.GossipAddr = gossip
		}
		c.replicaGrace = grace
		all.Go(func() { g.nodes[i] = run(t, c) })
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	g.owner = g.nodes[0].token(t, root, "owner")
	var made struct{ ID string }
	g.ask(t, g.nodes[0], "POST", "/destinations", fmt.Sprintf(
		`{"name":"n","type":"S3","bucket":%q,"region":"us-east-1","endpoint":%q,"credentials":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"x"}}`,
		bucket.Bucket(), endpoint), &made)
	g.destination = made.ID
	return g
}

// ask calls the API of a node and decodes the data of its response.
func (g *group) ask(t *testing.T, n *running, method, path, body string, data any) {
	t.Helper()
	status, text := n.call(t, method, "/api/v1/storage"+path, g.owner, "acme", body)
	if status/100 != 2 {
		t.Fatalf("%s %s at %s: %d %s", method, path, n.id, status, text)
	}
	if err := json.Unmarshal([]byte(text), &struct{ Data any }{data}); err != nil {
		t.Fatalf("%s %s at %s: %v", method, path, n.id, err)
	}
}

// generation returns the promoted generation, empty before the first.
func (g *group) generation(n *running) (id string) {
	_ = n.catalog.View(func(tx *catalog.Tx) error {
		made, err := tx.Generation(g.destination)
		id = made.GetId()
		return err
	})
	return id
}

// holders returns the recorded holders of the generation, as n has them.
func (g *group) holders(n *running) (ids []string) {
	id := g.generation(n)
	_ = n.catalog.View(func(tx *catalog.Tx) error {
		all, err := tx.Holders(g.destination)
		for _, h := range all {
			if h.Generation == id {
				ids = append(ids, h.Node)
			}
		}
		return err
	})
	return ids
}

// here returns the nodes that have the generation open.
func (g *group) here() (ids []string) {
	for _, n := range g.nodes {
		if id, _, ok := n.index.Generation(g.destination); ok && id == g.generation(n) {
			ids = append(ids, n.id)
		}
	}
	return ids
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout: %s", what)
		}
	}
}

// events reads a node's server-sent events up to the statistics after a sync. It returns
// their names, with the status of syncs.
func (g *group) events(t *testing.T, n *running) func() []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+"/api/v1/storage/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.owner)
	req.Header.Set("X-Organization-Id", "acme")
	transport := &http.Transport{}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer resp.Body.Close()
		name := ""
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = event
			}
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			var e struct {
				Status string
				Totals struct{ TotalFiles uint64 }
			}
			_ = json.Unmarshal([]byte(data), &e) // checked below
			events = append(events, strings.Trim(fmt.Sprint(name, " ", e.Status), " "))
			if e.Totals.TotalFiles == g.files {
				return
			}
		}
	}()
	return func() []string {
		<-done
		cancel()
		transport.CloseIdleConnections()
		return events
	}
}

// TestShardsOfAGroup: three of four nodes hold a shard, and each of the four serves it and
// sends the events of the sync. When one of the three is gone, the fourth takes its place
// without a scan, until it returns.
func TestShardsOfAGroup(t *testing.T) {
	g := newGroup(t, 4, time.Second)
	var listening []func() []string
	for _, n := range g.nodes {
		listening = append(listening, g.events(t, n))
	}
	g.ask(t, g.nodes[1], "POST", "/sync", "", nil)
	for i, wait := range listening {
		events := wait()
		if !slices.Contains(events, "storage:sync-progress completed") || events[len(events)-1] != "storage:stats-update" {
			t.Errorf("the clients of n%d got %q", i+1, events)
		}
	}
	eventually(t, "three nodes hold the shard", func() bool { return len(g.here()) == 3 && len(g.holders(g.nodes[0])) == 3 })
	g.serves(t)
	generation := g.generation(g.nodes[0])

	var fourth, gone *running
	for _, n := range g.nodes {
		switch {
		case !slices.Contains(g.here(), n.id):
			fourth = n
		case n != g.nodes[0]: // where the others find one another
			gone = n
		}
	}
	if got := metric(t, fourth, "firescan_destination_replicas"); got != "3" {
		t.Errorf("the fourth node counts %s replicas", got)
	}
	if copied := metric(t, gone, `firescan_replica_pulls_total{outcome="copied"}`); copied == "0" || copied == "" {
		t.Errorf("a node that holds segments listed by others has copied %q of them", copied)
	}
	config := gone.config
	gone.end(t)
	g.nodes = slices.DeleteFunc(g.nodes, func(n *running) bool { return n == gone })
	eventually(t, "the fourth node holds the shard", func() bool { return slices.Contains(g.holders(fourth), fourth.id) })
	g.serves(t)

	config.replicaGrace = time.Second
	back := run(t, config)
	g.nodes = append(g.nodes, back)
	eventually(t, "the fourth node has given it back", func() bool {
		return len(g.here()) == 3 && !slices.Contains(g.here(), fourth.id) && len(g.holders(fourth)) == 3
	})
	g.serves(t)
	if now := g.generation(fourth); now != generation {
		t.Errorf("the bucket was scanned again: %s, not %s", now, generation)
	}

	// A node that leaves for good is forgotten.
	if err := g.nodes[0].cluster.Remove(t.Context(), back.id); err != nil {
		t.Fatal(err)
	}
	if err := <-back.done; err == nil {
		t.Error("a node that was removed has ended without a reason")
	}
	back.done <- nil
	g.nodes = g.nodes[:len(g.nodes)-1]
	eventually(t, "the others hold the shard", func() bool {
		return len(g.here()) == 3 && len(g.holders(fourth)) == 3 && !slices.Contains(g.holders(fourth), back.id)
	})
}

// serves checks that every node serves the shard, wherever it is.
func (g *group) serves(t *testing.T) {
	t.Helper()
	for _, n := range g.nodes {
		var stats struct{ TotalFiles uint64 }
		g.ask(t, n, "GET", "/destinations/"+g.destination+"/files/stats", "", &stats)
		var all struct {
			Totals struct{ TotalFiles uint64 }
		}
		g.ask(t, n, "GET", "/stats", "", &all)
		if stats.TotalFiles != g.files || all.Totals.TotalFiles != g.files {
			t.Errorf("%s returned %d files of the destination and %d of all, want %d", n.id, stats.TotalFiles, all.Totals.TotalFiles, g.files)
		}
		host, ok := n.locator.Holder(g.destination)
		here := slices.Contains(g.here(), n.id)
		if ok == here || ok && !slices.Contains(g.here(), host) {
			t.Errorf("%s, which has the shard: %v, finds it at %q", n.id, here, host)
		}
		if _, err := n.locator.Totals(t.Context(), "storage_none"); !errors.Is(err, index.ErrNoShard) {
			t.Errorf("totals of an unknown destination: %v", err)
		}
	}
}

// metric returns a value of a node's metrics, by the prefix of its line.
func metric(t *testing.T, n *running, name string) string {
	t.Helper()
	_, text := n.call(t, "GET", "/metrics", "", "", "")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == ' ' || rest[0] == '{') {
			return strings.TrimSpace(rest[strings.LastIndexByte(rest, ' '):])
		}
	}
	return ""
}
