package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/cluster"
	"firescan/provider/mem"
)

const destinationsPath = "/api/v1/storage/destinations"

func (r *rig) destinations() int {
	r.t.Helper()
	return len(r.owner("GET", destinationsPath, "").at("data").([]any))
}

// replayed checks that a response is the earlier one.
func (a *response) replayed(first *response) {
	a.t.Helper()
	if a.status != first.status || string(a.raw) != string(first.raw) || a.header.Get("Idempotency-Replayed") != "true" ||
		a.header.Get("Content-Type") != first.header.Get("Content-Type") {
		a.t.Errorf("got %d %s, first %d %s", a.status, a.raw, first.status, first.raw)
	}
	if first.header.Get("Idempotency-Replayed") != "" {
		a.t.Error("the first response says that it is a replay")
	}
}

func TestARetriedPostHasOneEffect(t *testing.T) {
	r := newRig(t, mem.Options{})
	first := r.do(catalog.RoleOwner, "POST", destinationsPath, createBody, "Idempotency-Key", "k1")
	if first.status != 201 {
		t.Fatalf("%d %s", first.status, first.raw)
	}
	id := first.at("data", "id").(string)
	r.owner("PUT", destinationsPath+"/"+id, `{"name":"Renamed"}`)
	r.do(catalog.RoleOwner, "POST", destinationsPath, createBody, "Idempotency-Key", "k1").replayed(first)
	if n := r.destinations(); n != 1 {
		t.Errorf("%d destinations", n)
	}
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync?destinationId="+id, "", "Idempotency-Key", "sync")
	for name, again := range map[string]*response{
		"another body":   r.do(catalog.RoleOwner, "POST", destinationsPath, strings.Replace(createBody, "Production", "P", 1), "Idempotency-Key", "k1"),
		"another query":  r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync", "", "Idempotency-Key", "sync"),
		"another path":   r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync", "", "Idempotency-Key", "k1"),
		"another caller": r.do(catalog.RoleAdmin, "POST", destinationsPath, createBody, "Idempotency-Key", "k1"),
	} {
		if again.refused(409, CodeConflict); !strings.Contains(string(again.raw), "Idempotency-Key") {
			t.Errorf("%s: %s", name, again.raw)
		}
	}
	// Also where nothing is created, and only the stored response counts.
	deleting := destinationsPath + "/" + id + "/files/bulk-delete"
	r.do(catalog.RoleOwner, "POST", deleting, `{"paths":["backups/production/a"]}`, "Idempotency-Key", "files")
	r.do(catalog.RoleOwner, "POST", deleting, `{"paths":["backups/production/b"]}`, "Idempotency-Key", "files").refused(409, CodeConflict)
	if r.deletes.calls != 1 {
		t.Errorf("%d deletions", r.deletes.calls)
	}
	if a := r.do(catalog.RoleOwner, "POST", destinationsPath, createBody, "Idempotency-Key", "k2"); a.at("data", "id") == id {
		t.Errorf("another key: %s", a.raw)
	}
	r.now = r.now.Add(25 * time.Hour)
	if a := r.do(catalog.RoleOwner, "POST", destinationsPath, createBody, "Idempotency-Key", "k1"); a.status != 201 || a.at("data", "id") == id {
		t.Errorf("a day later: %d %s", a.status, a.raw)
	}
}

// TestRetryAfterALostResponse creates each kind of object and loses the response: the
// retry finds the object.
func TestRetryAfterALostResponse(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	for _, c := range []struct {
		role             catalog.Role
		path, body, list string
		count            func(*response) int
		secret           bool
	}{
		{catalog.RoleOwner, destinationsPath, createBody, destinationsPath, func(a *response) int { return len(a.at("data").([]any)) }, false},
		{catalog.RoleOwner, "/api/v1/storage/sync?destinationId=" + id, "", "/api/v1/storage/syncs", func(a *response) int { return len(a.at("data", "syncs").([]any)) }, false},
		{catalog.RoleRoot, "/api/v1/admin/tokens", `{"role":"viewer","organizationId":"org1"}`, "/api/v1/admin/tokens", func(a *response) int { return len(a.at("data").([]any)) }, true},
	} {
		key := "lost:" + c.list
		before := c.count(r.do(c.role, "GET", c.list, ""))
		r.lost.Store(true)
		r.do(c.role, "POST", c.path, c.body, "Idempotency-Key", key).refused(503, CodeNoLeader)
		r.lost.Store(false)
		made := c.count(r.do(c.role, "GET", c.list, "")) - before
		if made == 0 {
			t.Fatalf("%s: nothing was made", c.path)
		}
		retry := r.do(c.role, "POST", c.path, c.body, "Idempotency-Key", key)
		if c.secret {
			retry.refused(409, CodeConflict)
		} else if retry.status >= 300 {
			t.Errorf("%s: %d %s", c.path, retry.status, retry.raw)
		}
		r.do(c.role, "POST", c.path, c.body, "Idempotency-Key", key)
		if n := c.count(r.do(c.role, "GET", c.list, "")) - before; n != made {
			t.Errorf("%s: retries made %d more", c.path, n-made)
		}
		c.body = strings.Replace(c.body, "viewer", "member", 1) + " "
		r.do(c.role, "POST", c.path, c.body, "Idempotency-Key", key).refused(409, CodeConflict)
	}
}

// TestRetryOfAnEndedSync does not start another one.
func TestRetryOfAnEndedSync(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.destination()
	first := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync", "", "Idempotency-Key", "s")
	r.owner("DELETE", "/api/v1/storage/syncs/"+first.at("data", "syncIds", 0).(string), "")
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync", "", "Idempotency-Key", "s").replayed(first)

	// Nor when the first response was lost.
	r.lost.Store(true)
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync", "", "Idempotency-Key", "l").refused(503, CodeNoLeader)
	r.lost.Store(false)
	id := r.owner("GET", "/api/v1/storage/syncs", "").at("data", "syncs", 0, "id").(string)
	r.owner("DELETE", "/api/v1/storage/syncs/"+id, "")
	if a := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync", "", "Idempotency-Key", "l"); a.at("data", "syncIds", 0) != id {
		t.Errorf("the retry started another sync than %s: %s", id, a.raw)
	}
}

func TestATokenIsShownOnce(t *testing.T) {
	r := newRig(t, mem.Options{})
	const body = `{"role":"viewer","organizationId":"org1","name":"ci"}`
	first := r.do(catalog.RoleRoot, "POST", "/api/v1/admin/tokens", body, "Idempotency-Key", "t")
	plain := first.at("data", "token").(string)
	retry := r.do(catalog.RoleRoot, "POST", "/api/v1/admin/tokens", body, "Idempotency-Key", "t")
	retry.refused(409, CodeConflict)
	if m := retry.at("error", "message").(string); !strings.Contains(m, first.at("data", "id").(string)) || strings.Contains(m, plain) {
		t.Errorf("%s", m)
	}
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		a, err := tx.Answer("", "t")
		if err == nil && (a.Status != 0 || strings.Contains(fmt.Sprint(a), plain)) {
			t.Errorf("remembered: %v", a)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestFailuresAreNotStored retries a failed request, which then succeeds.
func TestFailuresAreNotStored(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.openErr = fmt.Errorf("wrapped: %w", context.DeadlineExceeded)
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/connect", tryBody(), "Idempotency-Key", "f").refused(502, CodeProvider)
	r.openErr = nil
	first := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/connect", tryBody(), "Idempotency-Key", "f")
	if first.status != 200 {
		t.Fatalf("%d %s", first.status, first.raw)
	}
	r.openErr = context.DeadlineExceeded // a stored response needs no provider
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/connect", tryBody(), "Idempotency-Key", "f").replayed(first)
	if a := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/connect", tryBody()); a.status != 502 {
		t.Errorf("without a key: %d", a.status)
	}
}

func TestLongAnswersAreNotRemembered(t *testing.T) {
	r := newRig(t, mem.Options{})
	names := make([]string, 2000)
	for i := range names {
		names[i] = fmt.Sprintf("a-folder-with-a-rather-long-name-%04d/x", i)
	}
	r.account.Fill("backups-bucket", 1, r.now, names...)
	before := r.catalog.AppliedIndex()
	for range 2 {
		a := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/buckets/folders", tryBody(inBucket), "Idempotency-Key", "long")
		if a.status != 200 || len(a.raw) <= maxRemembered || a.header.Get("Idempotency-Replayed") != "" {
			t.Errorf("%d, %d bytes", a.status, len(a.raw))
		}
	}
	if r.catalog.AppliedIndex() != before {
		t.Error("a long response was written to the catalog")
	}
}

func TestBadKeys(t *testing.T) {
	r := newRig(t, mem.Options{})
	for _, key := range []string{"", "a b", "ü", strings.Repeat("k", 256)} {
		if f := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync", "", "Idempotency-Key", key).refused(400, CodeValidation); f["Idempotency-Key"] == nil {
			t.Errorf("%q: %v", key, f)
		}
	}
	if a := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync", "", "Idempotency-Key", strings.Repeat("k", 255)); a.status != 200 {
		t.Errorf("255 characters: %d %s", a.status, a.raw)
	}
	// Reads, PUT, DELETE and imports have the same effect however often they are sent.
	r.do(catalog.RoleOwner, "GET", destinationsPath, "", "Idempotency-Key", "a b")
	line := `{"kind":"project","id":"p","name":"P"}` + "\n"
	for range 2 {
		if a := r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", line, "Idempotency-Key", "i"); a.status != 200 || a.header.Get("Idempotency-Replayed") != "" {
			t.Errorf("import: %d %s", a.status, a.raw)
		}
	}
	r.replog.Fail(cluster.ErrNoLeader)
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync", "", "Idempotency-Key", "k").refused(503, CodeNoLeader)
}

// TestConcurrentRequestsWithOneKey sends one request many times at once.
func TestConcurrentRequestsWithOneKey(t *testing.T) {
	var asked atomic.Int32
	arrived, release := make(chan struct{}), make(chan struct{})
	r := newRig(t, mem.Options{Faults: mem.Faults{Buckets: func(context.Context, string, string) error {
		if asked.Add(1) == 1 {
			close(arrived)
			<-release
		}
		return nil
	}}})
	const clients = 8
	responses := make([]*response, clients)
	var all sync.WaitGroup
	send := func(i int) {
		responses[i] = r.do(catalog.RoleOwner, "POST", "/api/v1/storage/connect", tryBody(), "Idempotency-Key", "w")
	}
	all.Go(func() { send(0) })
	<-arrived
	for i := range clients - 1 {
		all.Go(func() { send(i + 1) })
	}
	close(release)
	all.Wait()
	for _, a := range responses[1:] {
		a.replayed(responses[0])
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
	if n := len(r.server.backend.flights.busy); n != 0 {
		t.Errorf("%d keys are taken still", n)
	}
}

func TestWaitingEndsWithTheClient(t *testing.T) {
	var f flights
	leave, err := f.enter(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.enter(gone, "k"); toError(t.Context(), err).Code != codeClientClosed {
		t.Errorf("a client that left: %v", err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if _, err := f.enter(late, "k"); toError(t.Context(), err).Code != CodeConflict {
		t.Errorf("a client that waited for too long: %v", err)
	}
	leave()
	if leave, err = f.enter(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	leave()
}

// TestFingerprintsRevealNothing: the stored fingerprint of a request must not help to
// guess its credentials.
func TestFingerprintsRevealNothing(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/connect", tryBody(), "Idempotency-Key", "p")
	r.do(catalog.RoleAdmin, "POST", "/api/v1/storage/connect", tryBody(), "Idempotency-Key", "q")
	var owner, admin *pb.Answer
	if err := r.catalog.View(func(tx *catalog.Tx) (err error) {
		if owner, err = tx.Answer(org, "p"); err == nil {
			admin, err = tx.Answer(org, "q")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if string(owner.Fingerprint) == string(admin.Fingerprint) {
		t.Error("the fingerprint goes by the body alone")
	}
	if strings.Contains(fmt.Sprint(owner), secretText) || http.StatusText(int(owner.Status)) != "OK" {
		t.Errorf("remembered: %v", owner)
	}
}
