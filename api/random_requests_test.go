package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"firescan/api/contract"
	"firescan/catalog"
	"firescan/index"
	"firescan/provider/mem"
)

// oddStrings are values for any text.
var oddStrings = []string{
	"", " ", "a", "storage_1", "../..", "/", "//", ".", "%00", "\x00", "é", "e\u0301", "\U0001F4A9", "\xff\xfe", "<script>", "' or 1=1", "null", "true", "-1", "0",
	"1e400", "9223372036854775808", "99999999d", "2024-01-15T10:00:00.000Z", "24h", "*", "\"v1\"", "backups/production/", strings.Repeat("x", 300), strings.Repeat("é/", 600),
}

// A requestSource makes random requests for the operations of an OpenAPI document: most parts of
// each as the document wants them, some not.
type requestSource struct {
	*rand.Rand
	rig        *rig
	operations []operation
	ids        []string // that exist
}

type operation struct {
	method, path string
	*openapi3.Operation
	parameters openapi3.Parameters
}

func newRequestSource(t *testing.T, r *rig, seed uint64) *requestSource {
	t.Helper()
	raw, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	s := &requestSource{Rand: rand.New(rand.NewPCG(seed, 0)), rig: r} //nolint:gosec // repeatable, not secret
	for _, path := range doc.Paths.InMatchingOrder() {
		item := doc.Paths.Find(path)
		for method, op := range item.Operations() {
			s.operations = append(s.operations, operation{method, path, op, slices.Concat(item.Parameters, op.Parameters)})
		}
	}
	slices.SortFunc(s.operations, func(a, b operation) int { return strings.Compare(a.method+a.path, b.method+b.path) })
	return s
}

// one reports true once in n times.
func (s *requestSource) one(n int) bool { return s.IntN(n) == 0 }

func pick[T any](s *requestSource, list []T) T { return list[s.IntN(len(list))] }

func (s *requestSource) text() string {
	if len(s.ids) > 0 && s.one(2) {
		return pick(s, s.ids)
	}
	return pick(s, oddStrings)
}

// value returns a value of a schema, one time in thirty of another type.
func (s *requestSource) value(name string, schema *openapi3.Schema, depth int) any {
	if s.one(30) || schema == nil || depth > 6 {
		return pick(s, []any{nil, true, -1, 1.5, "", s.text(), []any{}, []any{map[string]any{}}, map[string]any{"a": nil}})
	}
	for _, list := range []openapi3.SchemaRefs{schema.OneOf, schema.AnyOf} {
		if len(list) > 0 {
			return s.value(name, pick(s, list).Value, depth+1)
		}
	}
	if schema.Const != nil {
		return schema.Const
	}
	if len(schema.Enum) > 0 {
		return pick(s, schema.Enum)
	}
	var types openapi3.Types
	if schema.Type != nil {
		types = *schema.Type
	}
	if len(types) == 0 {
		return s.text()
	}
	switch pick(s, types) {
	case "object":
		object := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(schema.Properties)) {
			if slices.Contains(schema.Required, key) && !s.one(20) || s.one(3) {
				object[key] = s.value(key, schema.Properties[key].Value, depth+1)
			}
		}
		if s.one(20) {
			object[pick(s, oddStrings)] = s.text()
		}
		return object
	case "array":
		list := make([]any, s.IntN(4))
		for i := range list {
			list[i] = s.value(name, schema.Items.Value, depth+1)
		}
		return list
	case "integer", "number":
		return pick(s, []any{0, 1, 2, 7, 100, -1, 1 << 40, 1e18, 0.5})
	case "boolean":
		return s.one(2)
	case "null":
		return nil
	default:
		return s.string(name, schema)
	}
}

// string returns a text that the field of a request may well have.
func (s *requestSource) string(name string, schema *openapi3.Schema) string {
	if s.one(6) {
		return s.text()
	}
	likely := map[string][]string{
		"provider": {"s3", "S3", "gcs", "do-spaces", "firebase-storage"}, "type": {"s3", "gcs", "do-spaces", "firebase-storage"},
		"bucket": {"backups-bucket", "other-bucket", "no-such-bucket"}, "bucketName": {"backups-bucket", "other-bucket", "made-bucket", "no-such-bucket"},
		"role": {"viewer", "member", "admin", "owner", "service"}, "organizationId": {org, "org2"}, "region": {"us-east-1", "nyc3"},
		"endpoint": {"https://allowed.example.com", "http://127.0.0.1:1", ""}, "folderName": {"a", "a/b"}, "name": {"n", "Production S3"},
		"limit": {"1", "5"}, "minAge": {"0s", "24h", "7d"}, "expiresIn": {"24h"}, "status": {"completed", "running", "failed"},
	}[name]
	switch {
	case len(likely) > 0:
		return pick(s, likely)
	case schema.Format == "date-time":
		return "2026-01-15T10:00:00.000Z"
	case strings.HasSuffix(name, "ath") || name == "paths" || name == "files" || name == "prefix":
		return pick(s, []string{"backups/production/a.backup", "backups/production/b.backup", "backups/production/orphan.backup", "c/d"})
	default:
		return s.text()
	}
}

// next returns a random request and the operation that it calls.
func (s *requestSource) next(ctx context.Context) (*http.Request, string) {
	op := pick(s, s.operations)
	path := op.path
	query := url.Values{}
	header := http.Header{}
	for _, ref := range op.parameters {
		p := ref.Value
		value := fmt.Sprint(s.value(p.Name, p.Schema.Value, 0))
		switch p.In {
		case "path":
			if value == "" || s.one(2) && len(s.ids) > 0 {
				value = pick(s, append(s.ids, "x"))
			}
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(value))
		case "query":
			if p.Name == "force" && !s.one(50) || !s.one(4) {
				continue // a forced sync waits for its end
			}
			query.Add(p.Name, value)
			if s.one(20) {
				query.Add(p.Name, s.text())
			}
		case "header":
			if s.one(4) {
				header.Set(p.Name, strings.Map(func(r rune) rune {
					if r < ' ' || r == 0x7f {
						return -1
					}
					return r
				}, value))
			}
		}
	}
	if s.one(30) {
		query.Set(pick(s, []string{"Limit", "dry-run", "x", "cursor", "confirm"}), s.text())
	}
	body := ""
	if op.RequestBody != nil && !s.one(30) {
		body = s.body(op)
	}
	method := op.method
	if s.one(50) {
		method = pick(s, []string{"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"})
	}
	req, err := http.NewRequestWithContext(ctx, method, s.rig.http.URL+path, strings.NewReader(body))
	if err != nil {
		s.rig.t.Fatal(err)
	}
	req.URL.RawQuery = query.Encode()
	req.Header = header
	s.authorize(req)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if !s.one(20) {
		req.Header.Set("X-Organization-Id", org)
	}
	return req, op.method + " " + op.path
}

func (s *requestSource) body(op operation) string {
	for kind, media := range op.RequestBody.Value.Content {
		if kind != "application/json" && media.Schema == nil || s.one(40) {
			return pick(s, []string{"{", "null", "[]", "[[[[", "\xff", `{"a":1,"a":2}`, `{"kind":"backup","id":"b1"}` + "\n"})
		}
		var raw []byte
		var err error
		if raw, err = json.Marshal(s.value("", media.Schema.Value, 0)); err != nil {
			s.rig.t.Fatal(err)
		}
		return string(raw)
	}
	return ""
}

// authorize gives a request mostly a token that may do anything.
func (s *requestSource) authorize(req *http.Request) {
	role := catalog.RoleOwner
	switch {
	case strings.HasPrefix(req.URL.Path, "/api/v1/admin"):
		role = catalog.RoleRoot
	case strings.HasPrefix(req.URL.Path, "/api/v1/catalog"):
		role = catalog.RoleService
	}
	if s.one(20) {
		role = pick(s, catalog.Roles())
	}
	if !s.one(40) {
		req.Header.Set("Authorization", "Bearer "+s.rig.tokens[role])
	}
}

// TestRandomRequests sends random requests of all operations: each response is a documented one,
// and none says that the server failed.
func TestRandomRequests(t *testing.T) {
	requests := 20_000
	if testing.Short() {
		requests = 2_000
	}
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number
	t.Logf("seed %d", seed)
	r := newRig(t, mem.Options{})
	r.account.Fill("backups-bucket", 10, time.Unix(1e9, 0), "backups/production/a.backup", "backups/production/b.backup", "backups/production/orphan.backup")
	s := newRequestSource(t, r, seed)
	statuses := map[int]int{}
	succeeded := map[string]bool{}
	document, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	// Some requests are accepted that the document does not allow, such as empty parameters.
	responses, err := contract.New(document, func(breach string) {
		if !strings.Contains(breach, "succeeded with a request") && !strings.HasPrefix(breach, "HEAD ") && !strings.HasPrefix(breach, "OPTIONS ") {
			t.Error(breach)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]int{}
	for i := range requests {
		if i%500 == 0 {
			s.renew()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		req, name := s.next(ctx)
		if strings.HasSuffix(name, "/storage/events") {
			cancel() // the stream ends at once
		}
		w := httptest.NewRecorder()
		r.server.ServeHTTP(w, incoming(req))
		res := w.Result()
		kind := fmt.Sprint(name, res.StatusCode)
		if refused[kind]++; res.StatusCode < 400 || refused[kind] <= 20 {
			if _, err := responses.Transport(recorded{res, w.Body.Len()}).RoundTrip(req); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		statuses[res.StatusCode]++
		if res.StatusCode >= 500 {
			body, _ := io.ReadAll(res.Body)
			t.Errorf("request %d: %s %s: %d %s", i, req.Method, req.URL, res.StatusCode, body)
		}
		if res.StatusCode < 300 {
			succeeded[name] = true
		}
		_ = res.Body.Close()
	}
	t.Logf("statuses %v; %d of %d operations succeeded", statuses, len(succeeded), len(s.operations))
	for _, op := range s.operations {
		if name := op.method + " " + op.path; !succeeded[name] {
			t.Logf("never succeeded: %s", name)
		}
	}
	if !testing.Short() && len(succeeded) < len(s.operations)*3/4 {
		t.Errorf("only %d of %d operations succeeded: the requests are too random", len(succeeded), len(s.operations))
	}
}

// renew adds a destination with files, since requests delete the earlier ones.
func (s *requestSource) renew() {
	r := s.rig
	r.now = r.now.Add(time.Minute)
	name := fmt.Sprint("renewed ", r.now.Unix())
	id := r.owner("POST", destinationsPath, strings.Replace(createBody, "Production S3", name, 1)).at("data", "id").(string)
	r.fill(id, []index.Entry{
		{Path: []byte("backups/production/a.backup"), Size: 5, ModTime: 1000, Linked: true},
		{Path: []byte("backups/production/b.backup"), Size: 5, ModTime: 1000},
		{Path: []byte("backups/production/orphan.backup"), Size: 5, ModTime: 1000},
	})
	s.ids = append(s.ids, id)
	if len(s.ids) > 6 {
		s.ids = s.ids[1:]
	}
}

// incoming returns a request as a server receives it.
func incoming(req *http.Request) *http.Request {
	in := req.Clone(req.Context())
	in.RequestURI, in.RemoteAddr = req.URL.RequestURI(), "127.0.0.1:1"
	if req.GetBody != nil {
		in.Body, _ = req.GetBody() // of a string
	}
	return in
}

// recorded is a transport that returns a response.
type recorded struct {
	response *http.Response
	size     int
}

func (r recorded) RoundTrip(*http.Request) (*http.Response, error) {
	r.response.ContentLength = int64(r.size)
	return r.response, nil
}
