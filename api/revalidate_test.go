package api

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestStatsNotModified: statistics have a tag, which changes with them only.
func TestStatsNotModified(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	entries := someFiles(r, id, 40)
	r.fill(id, entries)
	all, one := "/api/v1/storage/stats", "/api/v1/storage/destinations/"+id+"/files/stats"
	tags := map[string]string{}
	for _, path := range []string{all, one} {
		tag := r.owner("GET", path, "").header.Get("ETag")
		if !strings.HasPrefix(tag, `W/"`) {
			t.Fatalf("%s: tag %q", path, tag)
		}
		tags[path] = tag
		r.now = r.now.Add(48 * time.Hour) // a sync is due: nextScheduledSyncAt is the current time
		due := r.owner("GET", path, "").header.Get("ETag")
		r.now = r.now.Add(time.Minute)
		for _, given := range []string{due, strings.TrimPrefix(due, "W/"), "*", `"other", ` + due} {
			a := r.do(catalog.RoleViewer, "GET", path, "", "If-None-Match", given)
			if a.status != http.StatusNotModified || len(a.raw) > 0 || a.header.Get("ETag") != due || a.header.Get("Cache-Control") != "private, no-cache" {
				t.Errorf("%s, If-None-Match %s: %d %v %s", path, given, a.status, a.header, a.raw)
			}
		}
		for _, given := range []string{`"other"`, `W/"other"`, "other", ""} {
			if a := r.do(catalog.RoleViewer, "GET", path, "", "If-None-Match", given); a.status != http.StatusOK {
				t.Errorf("%s, If-None-Match %s: %d", path, given, a.status)
			}
		}
		r.now = r.now.Add(-48*time.Hour - time.Minute)
		if head := plainRequest(t, r, http.MethodHead, path); head.Header.Get("ETag") != tag {
			t.Errorf("HEAD %s: tag %q, want %q", path, head.Header.Get("ETag"), tag)
		}
		if a := r.do(catalog.RoleViewer, "GET", path+"?force=maybe", "", "If-None-Match", "*"); a.status != http.StatusBadRequest || a.header.Get("ETag") != "" {
			t.Errorf("%s with a broken parameter: %d", path, a.status)
		}
		a := r.do("", "GET", path, "", "If-None-Match", "*")
		if a.refused(401, CodeUnauthorized); a.header.Get("Cache-Control") != "no-store" || a.header.Get("ETag") != "" {
			t.Errorf("%s without a token: %v", path, a.header)
		}
	}
	r.fill(id, entries[1:])
	for path, tag := range tags {
		a := r.do(catalog.RoleOwner, "GET", path, "", "If-None-Match", tag)
		if a.status != http.StatusOK || a.header.Get("ETag") == tag {
			t.Errorf("%s after a change: %d, tag %s", path, a.status, a.header.Get("ETag"))
		}
	}
}

// TestStatsTagsOfOrganizations: equal statistics of two organizations have different tags.
func TestStatsTagsOfOrganizations(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.otherOrg()
	path := "/api/v1/storage/stats"
	ours := r.owner("GET", path, "").header.Get("ETag")
	theirs := r.do("other", "GET", path, "", "X-Organization-Id", "org2", "If-None-Match", ours)
	if theirs.status != http.StatusOK || theirs.header.Get("ETag") == ours {
		t.Errorf("the other organization: %d, tag %s", theirs.status, theirs.header.Get("ETag"))
	}
}

// TestForwardNotModified: a forwarded response keeps the tag and the caching rule of the node
// that made it.
func TestForwardNotModified(t *testing.T) {
	r := newRig(t, mem.Options{})
	path := "/api/v1/storage/destinations/" + r.destination() + "/files/stats"
	tag := r.owner("GET", path, "").header.Get("ETag")
	holder := httptest.NewTLSServer(r.server)
	defer holder.Close()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // in a test
	defer transport.CloseIdleConnections()
	r.elsewhere, r.toElsewhere = strings.TrimPrefix(holder.URL, "https://"), transport
	for given, status := range map[string]int{tag: http.StatusNotModified, `"other"`: http.StatusOK} {
		a := r.do(catalog.RoleOwner, "GET", path, "", "If-None-Match", given)
		if rule := a.header.Values("Cache-Control"); a.status != status || a.header.Get("ETag") != tag || len(rule) != 1 || rule[0] != "private, no-cache" {
			t.Errorf("If-None-Match %s: %d %v", given, a.status, a.header)
		}
	}
}
