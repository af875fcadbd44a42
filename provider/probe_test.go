package provider_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"firescan/provider"
	"firescan/provider/mem"
)

func TestProbeTellsWhatIsDenied(t *testing.T) {
	denied := mem.Broken(provider.Denied)
	for _, want := range []provider.Permissions{
		{},
		{Read: true},
		{Write: true},
		{Delete: true},
		{Read: true, Write: true},
		{Write: true, Delete: true},
		{Read: true, Delete: true},
		{Read: true, Write: true, Delete: true},
	} {
		var faults mem.Faults
		if !want.Read {
			faults.BeforeList = denied.BeforeList
		}
		if !want.Write {
			faults.Put = denied.Put
		}
		if !want.Delete {
			faults.Delete = denied.Delete
		}
		got, err := provider.Probe(t.Context(), mem.New(mem.Options{Faults: faults}, "bucket").Bucket("bucket"), "")
		if err != nil || got != want {
			t.Errorf("permissions %+v, %v; want %+v", got, err, want)
		}
	}
}

// TestProbeTriesEachCall checks that a refused call does not hide the others.
func TestProbeTriesEachCall(t *testing.T) {
	denied := mem.Broken(provider.Denied)
	batch := func(_ context.Context, _ string, _ []provider.Deletion) error {
		return &provider.Error{Kind: provider.Denied, Op: "delete batch", Reason: "injected"}
	}
	for _, c := range []struct {
		faults mem.Faults
		want   provider.Permissions
		checks string
		keys   []string
	}{
		{mem.Faults{}, provider.Permissions{Read: true, Write: true, Delete: true}, "list put stat delete delete batch", nil},
		{mem.Faults{Stat: denied.Stat}, provider.Permissions{Write: true, Delete: true}, "list put -stat delete delete batch", nil},
		{mem.Faults{DeleteBatch: batch}, provider.Permissions{Read: true, Write: true, Delete: true}, "list put stat delete -delete batch", nil},
		{mem.Faults{BeforeList: denied.BeforeList, Put: denied.Put, Stat: denied.Stat}, provider.Permissions{Delete: true}, "-list -put ?stat delete delete batch", nil},
		{denied, provider.Permissions{}, "-list -put ?stat -delete", nil},
		{mem.Faults{Put: denied.Put, Delete: denied.Delete}, provider.Permissions{Read: true}, "list -put stat -delete", nil},
		{mem.Faults{Stat: denied.Stat, Put: denied.Put, Delete: denied.Delete}, provider.Permissions{Read: true}, "list -put ?stat -delete", nil},
		{mem.Faults{Stat: denied.Stat, Put: denied.Put, Delete: denied.Delete}, provider.Permissions{}, "list -put -stat -delete", []string{"file"}},
		{mem.Faults{Put: denied.Put, Delete: denied.Delete}, provider.Permissions{Read: true}, "list -put stat -delete", []string{"file"}},
		{mem.Faults{Stat: mem.Broken(provider.Invalid).Stat, Put: denied.Put}, provider.Permissions{Read: true, Delete: true}, "list -put ?stat delete delete batch", []string{"file"}},
	} {
		a := mem.New(mem.Options{Faults: c.faults}, "bucket")
		a.Fill("bucket", 1, a.Now(), c.keys...)
		b := a.Bucket("bucket")
		got, checks, err := provider.ProbeCalls(t.Context(), b, "")
		var said []string
		for _, check := range checks {
			switch {
			case check.Allowed == nil:
				said = append(said, "?"+check.Permission)
			case !*check.Allowed:
				said = append(said, "-"+check.Permission)
			default:
				said = append(said, check.Permission)
			}
			if (check.Reason == "") != (check.Allowed != nil && *check.Allowed) {
				t.Errorf("%s has the reason %q", said[len(said)-1], check.Reason)
			}
		}
		if all := strings.Join(said, " "); err != nil || got != c.want || all != c.checks {
			t.Errorf("%+v, %s, %v; want %+v, %s", got, all, err, c.want, c.checks)
		}
		if c.want.Write && c.want.Delete {
			if conditions, err := provider.ProbeConditions(t.Context(), b, ""); c.want.Read && (err != nil || conditions.Batch == (c.faults.DeleteBatch != nil)) {
				t.Errorf("conditions %+v, %v", conditions, err)
			}
		}
	}
}

func TestProbeCleansUp(t *testing.T) {
	var put, deleted []string
	ctx, cancel := context.WithCancel(t.Context())
	faults := mem.Faults{
		Put: func(_ context.Context, _, key string) error {
			put = append(put, key)
			cancel() // the caller gives up, and the object was written all the same
			return &provider.Error{Kind: provider.Unavailable, Op: "put", Reason: "the response was lost"}
		},
		Delete: func(_ context.Context, _, key string) error {
			deleted = append(deleted, key)
			return nil
		},
	}
	_, err := provider.Probe(ctx, mem.New(mem.Options{Faults: faults}, "bucket").Bucket("bucket"), "some/prefix/")
	if provider.KindOf(err) != provider.Unavailable {
		t.Errorf("error %v", err)
	}
	if len(put) != 1 || !slices.Equal(put, deleted) || !strings.HasPrefix(put[0], "some/prefix/.firescan-probe-") {
		t.Errorf("put %q, deleted %q", put, deleted)
	}
}

// TestProbeLeavesOne checks that a probe object that cannot be deleted is reused by the
// next probe.
func TestProbeLeavesOne(t *testing.T) {
	put := map[string]int{}
	faults := mem.Faults{
		Put:    func(_ context.Context, _, key string) error { put[key]++; return nil },
		Delete: mem.Always(provider.Denied, "delete"),
	}
	b := mem.New(mem.Options{Faults: faults}, "bucket").Bucket("bucket")
	want := provider.Permissions{Read: true, Write: true}
	for range 3 {
		if got, err := provider.Probe(t.Context(), b, "some/prefix/"); err != nil || got != want {
			t.Errorf("permissions %+v, %v; want %+v", got, err, want)
		}
	}
	if len(put) != 1 {
		t.Errorf("put %v", put)
	}
}

// TestProbeTouchesItsOwnAlone checks that an object that is only named like a probe
// object is not touched.
func TestProbeTouchesItsOwnAlone(t *testing.T) {
	a := mem.New(mem.Options{}, "bucket")
	theirs := []string{".firescan-probe-", ".firescan-probe-AAAAAAAAAAAAAAAAAAAAAAAAAA", ".firescan-probe-notes"}
	a.Fill("bucket", 5, a.Now(), theirs...)
	b := a.Bucket("bucket")
	if got, err := provider.Probe(t.Context(), b, ""); err != nil || got != (provider.Permissions{Read: true, Write: true, Delete: true}) {
		t.Errorf("permissions %+v, %v", got, err)
	}
	for _, key := range theirs {
		if info, err := b.Stat(t.Context(), key); err != nil || info.Size != 5 {
			t.Errorf("%s: %+v, %v", key, info, err)
		}
	}
}

// asked is a bucket whose provider reports permissions.
type asked struct {
	provider.Bucket
	has []string
	err error
}

func (a asked) TestPermissions(context.Context) ([]string, error) { return a.has, a.err }

// TestProbeBelievesADenial checks that a denied permission is not tried, so that nothing
// is left.
func TestProbeBelievesADenial(t *testing.T) {
	all := provider.Permissions{Read: true, Write: true, Delete: true}
	for _, c := range []struct {
		reported []string
		err      error
		want     provider.Permissions
		puts     int
	}{
		{[]string{"list", "stat", "put", "delete"}, nil, all, 1},
		{[]string{"list", "stat", "put"}, nil, provider.Permissions{Read: true, Write: true}, 0},
		{[]string{"list", "stat", "delete"}, nil, provider.Permissions{Read: true, Delete: true}, 0},
		{[]string{"list", "delete"}, nil, provider.Permissions{Delete: true}, 0},
		{nil, nil, provider.Permissions{}, 0},
		{nil, errors.New("not known here"), all, 1},
	} {
		puts := 0
		a := mem.New(mem.Options{Faults: mem.Faults{Put: func(context.Context, string, string) error { puts++; return nil }}}, "bucket")
		b := provider.Retry(provider.Limit(asked{a.Bucket("bucket"), c.reported, c.err}, provider.NewLimiter(0)), provider.RetryOptions{})
		got, err := provider.Probe(t.Context(), b, "")
		if err != nil || got != c.want || puts != c.puts {
			t.Errorf("reported %+v, %v: permissions %+v after %d puts, %v; want %+v", c.reported, c.err, got, puts, err, c.want)
		}
	}
}
