package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// bodies returns a new value of every type of body.
func bodies() []any {
	return []any{
		&destinationInput{}, &bucketInput{}, &projectRecord{}, &backupRecord{}, &scheduleRecord{}, &pitrRecord{}, &deleteBodies{},
	}
}

// deleteBodies has the fields of the endpoints that delete and migrate.
type deleteBodies struct {
	Path   *string  `json:"path"`
	Paths  []string `json:"paths"`
	IDs    []string `json:"backupIds"`
	Files  bool     `json:"deleteStorageFiles"`
	Target *string  `json:"targetStorageId"`
}

// FuzzBodies decodes and checks bodies as the handlers do: refusals have a documented
// error, and accepted bodies can be stored.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		createBody, tryBody(inBucket, `"folderName":"a"`), `{"credentials":{"credentials":{"type":"service_account"}},"type":"gcs"}`,
		`{"id":"b","storageId":"s","storagePath":"a/b.backup","createdAt":"2024-01-15T10:00:00Z","files":["x"],"size":1}`,
		`{"id":"b","size":1e400}`, `{"createdAt":"-001-01-01T00:00:00Z"}`, `{"name":"\ud800"}`, `null`, `[[[[`,
		`{"paths":["a/b","é\u0000"],"backupIds":["b"],"deleteStorageFiles":true}`, `{"credentials":{"a":7}}`,
	} {
		f.Add([]byte(seed))
	}
	h := &destinations{settings: &settings{[]string{catalog.TypeS3, catalog.TypeGCS, catalog.TypeSpaces, catalog.TypeFirebase}, (*rig)(nil)}, secrets: (*rig)(nil)}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range bodies() {
			if err := decodeObject(data, v); err != nil {
				if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeValidation || jsonProblem(e) == "cannot be read" {
					t.Errorf("%T of %q: %v", v, data, err)
				}
				continue
			}
			switch v := v.(type) {
			case *deleteBodies:
				wrong := fieldErrors{}
				for _, path := range v.Paths {
					wrong.objectKey("paths", path)
				}
				if len(wrong) == 0 && len(v.Paths) <= 100 {
					encodes(t, &pb.BeginDelete{Org: org, Paths: asBytes(v.Paths)})
				}
			case record:
				checkRecord(t, v)
			case *destinationInput:
				d := &pb.Destination{Org: org, Id: "storage_1"}
				if err := h.fill(d, v, true, catalog.RoleMember); err == nil {
					encodes(t, &pb.PutDestination{Destination: d, Create: true})
				}
			}
		}
	})
}

func checkRecord(t *testing.T, r record) {
	t.Helper()
	wrong := fieldErrors{}
	if r.check(wrong); len(wrong) > 0 {
		return
	}
	encodes(t, &pb.PutRecords{Org: org, Records: []*pb.Record{r.message(org)}})
	// What is stored can be shown again.
	if _, err := json.Marshal(r); err != nil {
		t.Errorf("%+v cannot be shown: %v", r, err)
	}
}

func asBytes(list []string) [][]byte {
	all := make([][]byte, len(list))
	for i, s := range list {
		all[i] = []byte(s)
	}
	return all
}

func encodes(t *testing.T, m proto.Message) {
	t.Helper()
	if _, err := catalog.Encode(m); err != nil && !errors.Is(err, catalog.ErrTooLarge) {
		t.Errorf("what was accepted cannot be stored: %v", err)
	}
}

// FuzzQueries reads parameters as the handlers do.
func FuzzQueries(f *testing.F) {
	for _, seed := range []string{
		"limit=5&cursor=" + encodeCursor("", []byte("a")) + "&prefix=a%2F&type=backup&minAge=7d&force=true", "limit=-1", "minAge=-1h", "minAge=9999999d", "minAge=2540400h10m10.000000000s",
		"cursor=%00", "type=", "dryRun=true&minAge=0s&type=unknown&includeUnknown=true", "dryRun", "dryRun=0&confirm=x", "orphansOnly=maybe", "limit=5&limit=6", "a;b", "%zz",
	} {
		f.Add(seed)
	}
	now := time.Unix(1_700_000_000, 0)
	b := &backend{now: func() time.Time { return now }}
	f.Fuzz(func(t *testing.T, raw string) {
		req := httptest.NewRequestWithContext(context.Background(), "GET", "/", nil)
		req.URL = &url.URL{RawQuery: raw}
		c := &call{Request: req, backend: b, route: &route{}}
		checkCleanup(t, c, now)
		q := c.query()
		filter := fileFilter(q, now)
		q.boolean("force")
		if err := q.err(); err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeValidation {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		if filter.Limit < 0 || filter.Limit > 1<<30 || filter.ModifiedBefore > now.UnixMilli() || filter.ModifiedBefore < 0 && q.str("minAge") == "" {
			t.Errorf("%q became %+v", raw, filter)
		}
		if given := q.str("cursor"); given != "" && given != c.cursorAfter(filter.Cursor) {
			t.Errorf("%q became the cursor %q", raw, filter.Cursor)
		}
	})
}

// checkCleanup reads the parameters of a cleanup: never more than they say.
func checkCleanup(t *testing.T, c *call, now time.Time) {
	t.Helper()
	const age = time.Hour
	cleanup, _, dryRun, err := (&files{orphanMinAge: age}).readCleanup(c)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeValidation {
			t.Errorf("%q: %v", c.Request.URL.RawQuery, err)
		}
		return
	}
	given := c.Request.URL.Query()
	said, _ := strconv.ParseBool(given.Get("includeUnknown"))
	if slices.Contains(cleanup.Types, index.Unknown) && !said {
		t.Errorf("%q cleans up unknown files", c.Request.URL.RawQuery)
	}
	if cleanup.Before > now.UnixMilli() || given.Get("minAge") == "" && cleanup.Before != now.Add(-age).UnixMilli() {
		t.Errorf("%q cleans up what was modified until %d", c.Request.URL.RawQuery, cleanup.Before)
	}
	if want, err := strconv.ParseBool(given.Get("dryRun")); given.Has("dryRun") && (err != nil || dryRun != want) {
		t.Errorf("%q is a dry run: %v", c.Request.URL.RawQuery, dryRun)
	}
}

// FuzzTimes reads a time, writes it and reads the same time again.
func FuzzTimes(f *testing.F) {
	for _, seed := range []string{"2024-01-15T10:00:00Z", "2024-01-15T10:00:00.123+05:30", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Skip()
		}
		var first, again stamp
		if err := json.Unmarshal(quoted, &first); err != nil {
			t.Fatalf("%s: %v", quoted, err)
		}
		if first == noTime || first == 0 {
			return
		}
		shown, err := json.Marshal(first)
		if err != nil || json.Unmarshal(shown, &again) != nil || again != first {
			t.Errorf("%s is shown as %s, which is %d and not %d: %v", quoted, shown, again, first, err)
		}
	})
}
