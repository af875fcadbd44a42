package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"firescan/catalog"
	"firescan/cluster"
	"firescan/deletion"
	"firescan/index"
	"firescan/provider"
	"firescan/provider/mem"
	"firescan/replica"
)

func TestCleanup(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	path := destinationsPath + "/" + id + "/cleanup-orphans"
	r.deletes.plan = deletion.Plan{
		Hash: "abc", Files: 2, Bytes: 14, Of: 15,
		First: []index.Entry{{Path: []byte("backups/production/a.meta"), Size: 7, ModTime: 1e12, Type: index.Meta}},
	}
	a := r.owner("POST", path+"?dryRun=true&minAge=2h", "")
	if a.at("message") != "2 orphan files would be deleted" || a.at("data", "planHash") != "abc" || a.at("data", "plan", "orphans") != 2.0 ||
		a.at("data", "plan", "size") != "14" || a.at("data", "plan", "files") != 15.0 || a.at("data", "deletedCount") != 0.0 ||
		a.at("data", "plan", "first", 0, "path") != "backups/production/a.meta" || a.at("data", "plan", "first", 0, "lastModified") != "2001-09-09T01:46:40.000Z" {
		t.Errorf("dry run: %s", a.raw)
	}
	if c := r.deletes.orphans; r.deletes.calls != 0 || c.Before != r.now.Add(-2*time.Hour).UnixMilli() || slices.Contains(c.Types, index.Unknown) || len(c.Types) != 4 {
		t.Errorf("a dry run asked for %+v", r.deletes)
	}
	r.deletes.done = deletion.CleanupResult{Deleted: 5, Bytes: 30, Failed: 1, Errors: []deletion.Outcome{{Path: []byte("x"), Err: catalog.ErrNotOrphan}}}
	a = r.owner("POST", path+"?includeUnknown=true&confirm=abc", "{}")
	if a.at("message") != "Cleaned up 5 orphan files, 1 failed" || a.at("data", "freedSpace") != 30.0 || a.at("data", "failedCount") != 1.0 ||
		a.at("data", "errors", 0, "path") != "x" || a.at("data", "errors", 0, "code") != "FILE_NOT_ORPHAN" {
		t.Errorf("%s", a.raw)
	}
	denied := &provider.Error{Kind: provider.Denied, Op: "delete", Reason: "denied", Status: 403}
	r.deletes.done = deletion.CleanupResult{Failed: 1, Skipped: deletion.Skipped{TooYoung: 2}, Errors: []deletion.Outcome{{Path: []byte("x"), Err: denied}}}
	a = r.owner("POST", path+"?includeUnknown=true&confirm=abc", "{}")
	if a.at("message") != "Cleaned up 0 orphan files, 1 failed; 2 are younger than 1h" || a.at("data", "errors", 0, "details", "reason") != denied.Explain() {
		t.Errorf("the provider refuses: %s", a.raw)
	}
	if c := r.deletes.orphans; c.Confirm != "abc" || c.Before != r.now.Add(-time.Hour).UnixMilli() || !slices.Contains(c.Types, index.Unknown) || r.deletes.orphans.Who != "tok_owner" {
		t.Errorf("asked for %+v", r.deletes)
	}
	for query, want := range map[string][]index.Type{"type=meta": {index.Meta}, "type=unknown&includeUnknown=true": {index.Unknown}} {
		if r.owner("POST", path+"?minAge=0s&"+query, ""); !slices.Equal(r.deletes.orphans.Types, want) || r.deletes.orphans.Before != r.now.UnixMilli() {
			t.Errorf("%s: asked for %+v", query, r.deletes.orphans)
		}
	}
}

// TestUnclearCleanup deletes nothing when a parameter is unclear.
func TestUnclearCleanup(t *testing.T) {
	r := newRig(t, mem.Options{})
	path := destinationsPath + "/" + r.destination() + "/cleanup-orphans"
	for query, field := range map[string]string{
		"dryrun=true": "dryrun", "dry_run=true": "dry_run", "dryRun": "dryRun", "dryRun=": "dryRun", "dryRun=yes": "dryRun", "dryRun=true&dryRun=false": "dryRun",
		"dryRun=%zz": "query", "minAge=x": "minAge", "minAge=-1h": "minAge", "minAge=": "minAge", "type=": "type", "type=all": "type", "type=unknown": "type",
		"confirm=": "confirm", "consistency=stale": "consistency", "prefix=a": "prefix", "includeUnknown=1;dryRun=true": "query",
	} {
		if f := r.do(catalog.RoleOwner, "POST", path+"?"+query, "").refused(400, CodeValidation); f[field] == nil {
			t.Errorf("%s: fields %v", query, f)
		}
	}
	for _, body := range []string{`{"dryRun":true}`, `dryRun=true`, `[]`, `null`} {
		if f := r.do(catalog.RoleOwner, "POST", path, body).refused(400, CodeValidation); f["body"] == nil {
			t.Errorf("body %s: fields %v", body, f)
		}
	}
	if r.deletes.calls != 0 {
		t.Errorf("%d cleanups were begun", r.deletes.calls)
	}
}

func TestCleanupRefusedOrEndedEarly(t *testing.T) {
	r := newRig(t, mem.Options{})
	path := destinationsPath + "/" + r.destination() + "/cleanup-orphans"
	r.deletes.err = &deletion.PlanError{Plan: deletion.Plan{Hash: "abc", Files: 3, Of: 4}}
	a := r.do(catalog.RoleOwner, "POST", path, "")
	a.refused(409, CodeCleanupTooLarge)
	if a.at("error", "details", "planHash") != "abc" {
		t.Errorf("%s", a.raw)
	}
	r.deletes.err = fmt.Errorf("wrapped: %w", replica.ErrUnavailable)
	r.do(catalog.RoleOwner, "POST", path, "").refused(503, CodeIndexUnavailable)
	r.do(catalog.RoleOwner, "POST", path+"?dryRun=true", "").refused(503, CodeIndexUnavailable)

	r.deletes.err, r.deletes.done = nil, deletion.CleanupResult{Deleted: 7, Bytes: 70, Stopped: fmt.Errorf("wrapped: %w", cluster.ErrNoLeader)}
	for range 2 { // a retry under the same key continues
		a = r.do(catalog.RoleOwner, "POST", path, "", "Idempotency-Key", "k")
		a.refused(503, CodeNoLeader)
		if !strings.Contains(a.at("error", "message").(string), "after 7 orphan files") || a.at("error", "details", "freedSpace") != 70.0 {
			t.Errorf("%s", a.raw)
		}
	}
	r.deletes.done = deletion.CleanupResult{Deleted: 2}
	first := r.do(catalog.RoleOwner, "POST", path, "", "Idempotency-Key", "k")
	calls := r.deletes.calls
	r.do(catalog.RoleOwner, "POST", path, "", "Idempotency-Key", "k").replayed(first)
	if r.deletes.calls != calls {
		t.Error("a cleanup was carried out again")
	}
}

// TestEffectOfDeletes: responses report what a deletion did, beyond what was asked for.
func TestEffectOfDeletes(t *testing.T) {
	r := newRig(t, mem.Options{})
	path := destinationsPath + "/" + r.destination()
	r.deletes.done = deletion.CleanupResult{Deleted: 5, Versioned: 5, Retained: 2}
	a := r.owner("POST", path+"/cleanup-orphans", "")
	if a.at("message") != "Cleaned up 5 orphan files; 2 are under retention or a hold. No space was freed: the bucket keeps versions" || a.at("data", "freedSpace") != 0.0 ||
		a.at("data", "versioned") != true || a.at("data", "skipped", "retained") != 2.0 || a.at("data", "failedCount") != 0.0 {
		t.Errorf("%s", a.raw)
	}
	r.deletes.done = deletion.CleanupResult{Deleted: 5, Bytes: 7, SoftDelete: 7 * 24 * time.Hour}
	a = r.owner("POST", path+"/cleanup-orphans", "")
	if a.at("data", "softDeleteSeconds") != 604800.0 || a.at("data", "freedSpace") != 7.0 || a.at("data", "versioned") != nil ||
		!strings.Contains(fmt.Sprint(a.at("message")), "for 7 days") {
		t.Errorf("%s", a.raw)
	}
}

// TestCleanupReportsWhatItLeaves: "0 deleted" without a reason looks like a clean bucket.
func TestCleanupReportsWhatItLeaves(t *testing.T) {
	r := newRig(t, mem.Options{})
	path := destinationsPath + "/" + r.destination() + "/cleanup-orphans"
	all := deletion.Skipped{TooYoung: 1, UnknownType: 1, KeptForOthers: 1}
	for _, x := range []struct {
		query      string
		done       deletion.CleanupResult
		note       string
		minSeconds float64
	}{
		{"", deletion.CleanupResult{}, "", 3600},
		{"", deletion.CleanupResult{Skipped: deletion.Skipped{TooYoung: 2}}, "; 2 are younger than 1h", 3600},
		{"minAge=30d", deletion.CleanupResult{Skipped: deletion.Skipped{TooYoung: 2}}, "; 2 are younger than 30d", 30 * 86400},
		{"minAge=90m", deletion.CleanupResult{Skipped: deletion.Skipped{TooYoung: 1}}, "; 1 is younger than 1h30m", 5400},
		{
			"",
			deletion.CleanupResult{Skipped: all, Retained: 3, Resembling: deletion.Resembling{Files: 1}},
			"; 1 is younger than 1h, 1 is of unknown type, 1 resembles a file of a missing backup, 1 is needed by another organization, 3 are under retention or a hold", 3600,
		},
	} {
		r.deletes.done = x.done
		a := r.owner("POST", path+"?"+x.query, "")
		if a.at("message") != "Cleaned up 0 orphan files"+x.note || a.at("data", "skipped", "tooYoung") != float64(x.done.Skipped.TooYoung) ||
			a.at("data", "skipped", "minAgeSeconds") != x.minSeconds {
			t.Errorf("%s: %s", x.query, a.raw)
		}
		r.deletes.plan = deletion.Plan{Skipped: x.done.Skipped, Resembling: x.done.Resembling}
		if a := r.owner("POST", path+"?dryRun=true&"+x.query, ""); x.done.Retained == 0 && a.at("message") != "0 orphan files would be deleted"+x.note {
			t.Errorf("dry run, %s: %s", x.query, a.raw)
		}
	}
}
