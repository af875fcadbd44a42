package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"firescan/bench/bucketserver"
)

// query is an API query that is measured at a fixed rate.
type query struct {
	name string
	// path returns the path of the i-th request.
	path func(i int) string
}

// queryRow is one row of a table of queries.
type queryRow struct {
	name     string
	times    latencies
	rate     float64
	cpu      time.Duration
	requests int
}

// queries returns file lists with each filter, spread over the whole bucket if possible,
// and the statistics.
func (b *bench) queries(ctx context.Context, n *node, bk *bucket, dest string) ([]query, error) {
	files := "/api/v1/storage/destinations/" + dest + "/files"
	fixed := func(name, args string) query {
		return query{name, func(int) string { return files + "?limit=100&" + args }}
	}
	// The golden ratio spreads the prefixes, so that requests do not share blocks.
	prefix := func(i int) string {
		key := bk.keys.AppendKey(nil, uint64(float64(i)*0.6180339887*float64(b.config.bigKeys))%b.config.bigKeys)
		return url.QueryEscape(string(key[:len("backups/production/bkp_")+4]))
	}
	scattered := func(name, args string) query {
		return query{name, func(i int) string { return files + "?limit=100&prefix=" + prefix(i) + args }}
	}
	cursors, err := n.cursors(ctx, files, prefix)
	if err != nil {
		return nil, err
	}
	all := []query{
		fixed("no filter", ""),
		scattered("prefix", ""),
		{"cursor", func(i int) string { return files + "?limit=100&cursor=" + cursors[i%len(cursors)] }},
		fixed("orphansOnly", "orphansOnly=true"),
		scattered("prefix and orphansOnly", "&orphansOnly=true"),
	}
	for _, t := range bucketserver.Types() {
		all = append(all, fixed("type="+t.String(), "type="+t.String()))
	}
	return append(
		all,
		fixed("type=auth and orphansOnly", "type=auth&orphansOnly=true"),
		fixed("minAge=720h", "minAge=720h"),
		scattered("prefix, type=meta, minAge=8760h", "&type=meta&minAge=8760h"),
		query{"files/stats", func(int) string { return files + "/stats" }},
		query{"storage/stats", func(int) string { return "/api/v1/storage/stats" }},
	), nil
}

// cursors returns list cursors spread over the bucket.
func (n *node) cursors(ctx context.Context, files string, prefix func(int) string) ([]string, error) {
	header := http.Header{"Authorization": {"Bearer " + n.owner.token}, "X-Organization-Id": {org}}
	var cursors []string
	for i := range 50 {
		var response struct{ Meta struct{ NextCursor string } }
		if err := getJSON(ctx, n.url+files+"?limit=5&prefix="+prefix(i), header, &response); err != nil {
			return nil, err
		}
		if response.Meta.NextCursor != "" {
			cursors = append(cursors, url.QueryEscape(response.Meta.NextCursor))
		}
	}
	if len(cursors) == 0 {
		return nil, fmt.Errorf("GET %s: no response has a cursor", files)
	}
	return cursors, nil
}

// measureQuery measures one query on a node.
func (b *bench) measureQuery(ctx context.Context, n *node, q query) (queryRow, error) {
	b.log.Info("measuring", "query", q.name)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	do := func(ctx context.Context, i int) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+q.path(i), nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+n.owner.token)
		req.Header.Set("X-Organization-Id", org)
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("GET %s: status %s", req.URL, resp.Status)
		}
		return err
	}
	// Warm up connections and the page cache for a second at a tenth of the rate.
	if _, err := openLoop(ctx, max(1, b.config.rate/10), time.Second, do); err != nil {
		return queryRow{}, err
	}
	m, err := n.meter()
	if err != nil {
		return queryRow{}, err
	}
	start := time.Now()
	times, err := openLoop(ctx, b.config.rate, b.config.duration, do)
	if err != nil {
		return queryRow{}, err
	}
	took := time.Since(start)
	u, err := m.read()
	return queryRow{q.name, times, float64(len(times)) / took.Seconds(), u.cpu(), len(times)}, err
}

func queryTable(rows []queryRow) table {
	t := table{head: []string{"query", "requests/s", "p50", "p90", "p99", "p99.9", "max", "node CPU per request"}}
	for _, r := range rows {
		cells := []string{r.name, fmt.Sprintf("%.0f", r.rate)}
		for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
			cells = append(cells, fmt.Sprintf("%.2f ms", float64(r.times.quantile(q).Microseconds())/1000))
		}
		t.rows = append(t.rows, append(cells, fmt.Sprintf("%.0f µs", float64(r.cpu.Microseconds())/float64(max(1, r.requests)))))
	}
	return t
}
