package main

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// oddServer lists keys without start-after, or out of order. It continues by tokens.
type oddServer struct {
	keys     []string
	modified string
	scramble bool

	mu    sync.Mutex
	lists map[[2]string][]string // by prefix and delimiter
}

// entries returns the keys and folded prefixes below a prefix, in the order of the server.
func (o *oddServer) entries(prefix, delimiter string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if entries, ok := o.lists[[2]string{prefix, delimiter}]; ok {
		return entries
	}
	var entries []string
	for _, key := range o.keys {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		if at := strings.Index(rest, delimiter); delimiter != "" && at >= 0 {
			key = prefix + rest[:at+len(delimiter)]
		}
		if n := len(entries); n == 0 || entries[n-1] != key {
			entries = append(entries, key)
		}
	}
	if o.scramble {
		slices.SortFunc(entries, func(x, y string) int { return cmp.Compare(scrambled(x), scrambled(y)) })
	}
	o.lists[[2]string{prefix, delimiter}] = entries
	return entries
}

func (o *oddServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	delimiter := q.Get("delimiter")
	entries := o.entries(q.Get("prefix"), delimiter)
	from, _ := strconv.Atoi(q.Get("continuation-token"))
	most := 500
	if asked, err := strconv.Atoi(q.Get("max-keys")); err == nil {
		most = min(most, asked)
	}
	end := min(from+most, len(entries))
	fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%t</IsTruncated>", end < len(entries))
	if end < len(entries) {
		fmt.Fprintf(w, "<NextContinuationToken>%d</NextContinuationToken>", end)
	}
	for _, entry := range entries[from:end] {
		var name strings.Builder
		_ = xml.EscapeText(&name, []byte(entry))
		if delimiter != "" && strings.HasSuffix(entry, delimiter) {
			fmt.Fprintf(w, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>", &name)
			continue
		}
		fmt.Fprintf(w, "<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>&quot;x&quot;</ETag><Size>7</Size></Contents>", &name, o.modified)
	}
	fmt.Fprint(w, "</ListBucketResult>")
}

func scrambled(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return h.Sum32()
}

// TestOddServers scans servers that cannot list a range, or list out of order: every file
// is found exactly once.
func TestOddServers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	var keys []string
	want := map[string]realFile{}
	for i := range 8_000 {
		keys = append(keys, fmt.Sprintf("%02d/%02d/file-%05d.backup", i%7, i%3, i))
	}
	slices.Sort(keys)
	for _, key := range keys {
		want[key] = realFile{size: 7, typ: typeByName(key), orphan: true}
	}
	p := serve(t, t.TempDir())
	for name, scramble := range map[string]bool{"without start-after": false, "without order": true} {
		t.Run(name, func(t *testing.T) {
			p := p.as(t, fmt.Sprintf("org-%d", orgs.Add(1)))
			server := httptest.NewServer(&oddServer{
				keys: keys, modified: time.Now().UTC().Format(time.RFC3339), scramble: scramble, lists: map[[2]string][]string{},
			})
			t.Cleanup(server.Close)
			id := p.connect(t, "bucket", server.URL, "access", "secret")
			for range 2 {
				if s := p.sync(t, id); s.FilesScanned != int64(len(keys)) {
					t.Errorf("%d files scanned, want %d", s.FilesScanned, len(keys))
				}
				p.compare(t, id, want)
			}
		})
	}
}
