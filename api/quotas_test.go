package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestDestinationQuota: requests at the same time do not all get the last place, another
// organization has its own, and a retry of a request that was carried out is no new one.
func TestDestinationQuota(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{Destinations: 3})
	var created, limited atomic.Int32
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			switch a := r.do(catalog.RoleOwner, "POST", destinationsPath, createBody); a.status {
			case http.StatusCreated:
				created.Add(1)
			case http.StatusTooManyRequests:
				limited.Add(1)
			default:
				t.Errorf("%d %s", a.status, a.raw)
			}
		})
	}
	all.Wait()
	if created.Load() != 3 || limited.Load() != 9 {
		t.Errorf("%d destinations created and %d refused, want 3 and 9", created.Load(), limited.Load())
	}
	refused := r.do(catalog.RoleOwner, "POST", destinationsPath, createBody)
	refused.limited(quotaDestinations)
	if refused.at("error", "details", "limit") != 3.0 {
		t.Errorf("%s", refused.raw)
	}
	r.metric(`firescan_limited_total{quota="destinations"} 10`)
	list := r.owner("GET", destinationsPath, "")
	id := list.at("data", 0, "id").(string)
	r.owner("DELETE", destinationsPath+"/"+id, "")

	// The command is applied and the response lost: the retry is not above the quota.
	r.lost.Store(true)
	if a := r.do(catalog.RoleOwner, "POST", destinationsPath, createBody, keyHeader, "k"); a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.status, a.raw)
	}
	r.lost.Store(false)
	if a := r.do(catalog.RoleOwner, "POST", destinationsPath, createBody, keyHeader, "k"); a.status != http.StatusCreated {
		t.Errorf("a retry: %d %s", a.status, a.raw)
	}
}

func TestTokenQuota(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{Tokens: 1})
	create := func(body string) *response { return r.do(catalog.RoleRoot, "POST", "/api/v1/admin/tokens", body) }
	if a := create(`{"organizationId":"org2","role":"viewer","expiresAt":"2026-05-01T12:00:01Z"}`); a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	create(`{"organizationId":"org2","role":"viewer"}`).limited(quotaTokens)
	for range 2 { // operators have none
		if a := create(`{"role":"root"}`); a.status != http.StatusCreated {
			t.Errorf("%d %s", a.status, a.raw)
		}
	}
	r.now = r.now.Add(1e9 * 2)
	if a := create(`{"organizationId":"org2","role":"viewer"}`); a.status != http.StatusCreated {
		t.Errorf("beside an expired token: %d %s", a.status, a.raw)
	}
}

// TestSyncQuota: a running sync is joined, more than the quota are not started, by no way.
func TestSyncQuota(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{Syncs: 1})
	first, second := r.destination(), r.destination()
	const path = "/api/v1/storage/sync?destinationId="
	for range 2 {
		r.owner("POST", path+first, "")
	}
	for _, request := range [][2]string{
		{"POST", path + second},
		{"POST", "/api/v1/storage/sync"},
		{"GET", "/api/v1/storage/stats?force=true"},
		{"GET", destinationsPath + "/" + second + "/files?force=true"},
	} {
		r.do(catalog.RoleOwner, request[0], request[1], "").limited(quotaSyncs)
	}
}

// TestImportQuota: an import that has not ended keeps its place.
func TestImportQuota(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{Imports: 1})
	const path = "/api/v1/catalog/import"
	body, write := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.http.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+r.tokens[catalog.RoleService])
	request.Header.Set("X-Organization-Id", org)
	done := make(chan error, 1)
	go func() {
		response, err := http.DefaultTransport.RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				err = fmt.Errorf("status %d", response.StatusCode)
			}
		}
		done <- err
	}()
	line := `{"kind":"project","id":"p","name":"n"}` + "\n"
	if _, err := io.WriteString(write, line); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(string(r.do(catalog.RoleViewer, "GET", "/metrics", "").raw), `firescan_limited_total{quota="imports"} 1`) {
		r.do(catalog.RoleService, "POST", path, line) // is refused once the first has begun
	}
	r.do(catalog.RoleService, "POST", path, line).limited(quotaImports)
	_ = write.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if a := r.do(catalog.RoleService, "POST", path, line); a.status != http.StatusOK {
		t.Errorf("after the first has ended: %d %s", a.status, a.raw)
	}
}

// TestStoredResponseQuota: an organization that sends very many keys forgets its oldest ones, and the
// catalog does not grow.
func TestStoredResponseQuota(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{StoredResponses: 10, StoredResponseBytes: 1 << 20})
	id := r.destination()
	verify := func(key string) *response {
		t.Helper()
		a := r.do(catalog.RoleMember, "POST", destinationsPath+"/"+id+"/verify", "", keyHeader, key)
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.raw)
		}
		return a
	}
	for i := range 30 {
		verify(fmt.Sprint("key-", i))
		r.now = r.now.Add(time.Second)
	}
	last := verify("key-29")
	if last.header.Get(replayedHeader) == "" {
		t.Error("the newest key is forgotten")
	}
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		if _, err := tx.Answer(org, "key-0"); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("the oldest key: %v", err)
		}
		keys, err := tx.AnswersAbove(org, 0, 10, 1<<20)
		if len(keys) > 2 { // one more would be stored
			t.Errorf("%d responses above the quota", len(keys))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if r.hasMetric(`firescan_limited_total{quota="stored-responses"} 0`) {
		t.Error("the forgotten responses are not counted")
	}
}
