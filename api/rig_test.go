package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"firescan/api/contract"
	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider"
	"firescan/provider/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	org        = "org1"
	secretText = "wJalrXUtnFEMI-canary"
)

// rig is a server on a real catalog and a real index, without a cluster: commands
// are applied at once.
type rig struct {
	t       testing.TB
	server  *Server
	http    *httptest.Server
	catalog *catalog.Catalog
	index   *index.Store
	shards  string // where the index is
	account *mem.Account
	deletes fakeDeletes
	// contract holds every call of do against the OpenAPI document.
	contract *contract.Contract
	tokens   map[catalog.Role]string
	log      *syncBuffer
	now      time.Time

	lost        atomic.Bool // ProposeOnce carries commands out, and loses the results
	elsewhere   string
	toElsewhere http.RoundTripper

	mu      sync.Mutex
	last    uint64
	windows []int             // how many commands came at once
	down    error             // what Propose and Barrier answer
	shardUp error             // what View answers
	openErr error             // what Open and Account answer
	tried   map[string]string // the credentials that Account was last called with
}

var (
	_ Consensus = (*rig)(nil)
	_ Shards    = (*rig)(nil)
	_ Buckets   = (*rig)(nil)
	_ Accounts  = (*rig)(nil)
	_ Secrets   = (*rig)(nil)
	_ Endpoints = (*rig)(nil)
	_ Members   = (*rig)(nil)
)

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newRig(t testing.TB, opts mem.Options) *rig {
	t.Helper()
	registry := prometheus.NewRegistry()
	r := &rig{t: t, log: &syncBuffer{}, tokens: map[catalog.Role]string{}, account: mem.New(opts, "backups-bucket"), now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	logger := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if r.catalog, err = catalog.Open(filepath.Join(t.TempDir(), "catalog.db"), catalog.Options{Logger: logger, Registerer: registry}); err != nil {
		t.Fatal(err)
	}
	r.shards = t.TempDir()
	if r.index, err = index.Open(r.shards, index.Options{Logger: logger, Registerer: registry}); err != nil {
		t.Fatal(err)
	}
	r.server, err = New(Config{
		Catalog: r.catalog, Consensus: r, Shards: r, Buckets: r, Deletes: &r.deletes, Accounts: r, Secrets: r, Keys: r, Elsewhere: r, Endpoints: r, Members: r,
		Types: []string{catalog.TypeS3}, Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), Registerer: registry, Logger: logger,
		SyncEvery: 24 * time.Hour, OrphanMinAge: time.Hour, FreshFor: time.Hour, ForceWait: 200 * time.Millisecond, Now: func() time.Time { return r.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	document, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if r.contract, err = contract.New(document, func(breach string) { t.Error(breach) }); err != nil {
		t.Fatal(err)
	}
	r.http = httptest.NewServer(r.server)
	t.Cleanup(func() {
		r.server.Close()
		r.http.Close()
		if err := errors.Join(r.index.Close(), r.catalog.Close()); err != nil {
			t.Error(err)
		}
	})
	for _, role := range catalog.Roles() {
		plain := catalog.NewToken()
		of := org
		if role == catalog.RoleRoot {
			of = ""
		}
		r.propose(&pb.PutToken{Token: &pb.Token{Id: "tok_" + string(role), Hash: catalog.HashToken(plain), Org: of, Role: string(role), Name: "test", CreatedAt: 1}})
		r.tokens[role] = plain
	}
	return r
}

func (r *rig) Propose(ctx context.Context, m proto.Message) (*pb.Result, error) {
	results, err := r.ProposeAll(ctx, []proto.Message{m})
	if err != nil {
		return nil, err
	}
	return results[0], catalog.ResultError(results[0])
}

func (r *rig) ProposeOnce(_ context.Context, m proto.Message, once *pb.Once) (*pb.Result, error) {
	results, err := r.apply([]proto.Message{m}, once)
	if err != nil {
		return nil, err
	}
	if r.lost.Load() {
		return nil, &Error{Code: CodeNoLeader, Message: "The change could not be confirmed in time"}
	}
	return results[0], catalog.ResultError(results[0])
}

func (r *rig) ProposeAll(_ context.Context, all []proto.Message) ([]*pb.Result, error) {
	return r.apply(all, nil)
}

func (r *rig) apply(all []proto.Message, once *pb.Once) ([]*pb.Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down != nil {
		return nil, r.down
	}
	entries := make([]catalog.Entry, len(all))
	for i, m := range all {
		data, err := catalog.EncodeOnce(m, once)
		if err != nil {
			return nil, err
		}
		r.last++
		entries[i] = catalog.Entry{Index: r.last, Term: 1, Data: data}
	}
	r.windows = append(r.windows, len(all))
	return r.catalog.Apply(entries)
}

func (r *rig) Barrier(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.down
}

func (r *rig) Ready() error { return r.Barrier(context.Background()) }

func (r *rig) View(_ context.Context, id string) (*index.View, error) {
	if r.shardUp != nil {
		return nil, r.shardUp
	}
	return r.index.View(id)
}

func (r *rig) Open(_ context.Context, d *pb.Destination) (provider.Bucket, error) {
	if r.openErr != nil {
		return nil, r.openErr
	}
	return r.account.Bucket(d.Bucket), nil
}

func (r *rig) Account(_ context.Context, _, _, _ string, credentials map[string]string) (provider.Account, error) {
	r.tried = credentials
	if r.openErr != nil {
		return nil, r.openErr
	}
	return r.account, nil
}

func (r *rig) Seal(_, _, _, plain string) ([]byte, error) {
	sealed := []byte("sealed:")
	for _, b := range []byte(plain) {
		sealed = append(sealed, b^0x55)
	}
	return sealed, nil
}

func (r *rig) Check(endpoint string) error {
	if strings.Contains(endpoint, "allowed") {
		return nil
	}
	return &provider.Error{Kind: provider.Forbidden, Op: "connect", Reason: "is not allowed: start the node with --allow-endpoint"}
}

// Holder names the host of elsewhere, when a test says that there is one.
func (r *rig) Holder(string) (string, bool) { return r.elsewhere, r.elsewhere != "" }

func (r *rig) Transport() http.RoundTripper { return r.toElsewhere }

func (r *rig) Totals(context.Context, string) (index.Totals, error) {
	return index.Totals{}, index.ErrNoShard
}

func (r *rig) Rotate(context.Context) (int, error) { return 2, nil }

func (r *rig) Nodes(context.Context) ([]Member, error) {
	return []Member{{ID: "n1", Address: "127.0.0.1:1", Leader: true, Voter: true, State: "alive", Version: "test"}}, nil
}

// Remove knows one other node, which cannot be spared.
func (r *rig) Remove(_ context.Context, id string) error {
	switch id {
	case "n1":
		return nil
	case "n2":
		return &Error{Code: CodeConflict, Message: "too few voters would remain"}
	}
	return notFound("Node")
}

func (r *rig) propose(m proto.Message) *pb.Result {
	r.t.Helper()
	res, err := r.Propose(context.Background(), m)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

// answer is what a request was answered with.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// do makes a request as a role of the organisation.
func (r *rig) do(role catalog.Role, method, path, body string, header ...string) *answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, r.http.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.tokens[role])
	if role != catalog.RoleRoot {
		req.Header.Set("X-Organization-Id", org)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.contract.Transport(http.DefaultTransport).RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	a := &answer{t: r.t, status: res.StatusCode, header: res.Header}
	if a.raw, err = io.ReadAll(res.Body); err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	_ = json.Unmarshal(a.raw, &a.body)
	return a
}

// owner makes a request that must succeed.
func (r *rig) owner(method, path, body string) *answer {
	r.t.Helper()
	a := r.do(catalog.RoleOwner, method, path, body)
	if a.status >= 300 || a.body["success"] != true {
		r.t.Fatalf("%s %s: %d %s", method, path, a.status, a.raw)
	}
	return a
}

// at walks into the answer: keys, or positions of arrays.
func (a *answer) at(path ...any) any {
	a.t.Helper()
	var v any = a.body
	for _, p := range path {
		switch k := p.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				a.t.Fatalf("no object at %v of %s", path, a.raw)
			}
			v = m[k]
		case int:
			l, ok := v.([]any)
			if !ok || k >= len(l) {
				a.t.Fatalf("no element at %v of %s", path, a.raw)
			}
			v = l[k]
		}
	}
	return v
}

// refused checks a refusal, and answers details.fields.
func (a *answer) refused(status int, code Code) map[string]any {
	a.t.Helper()
	if a.status != status || a.body["success"] != false || a.at("error", "code") != string(code) || a.at("error", "message") == "" {
		a.t.Fatalf("answered %d %s, want %d %s", a.status, a.raw, status, code)
	}
	details, _ := a.at("error", "details").(map[string]any)
	fields, _ := details["fields"].(map[string]any)
	return fields
}

const createBody = `{"name":"Production S3","type":"s3","bucket":"backups-bucket","path":"/backups/production/","region":"us-east-1",
	"credentials":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"` + secretText + `"}}`

func (r *rig) destination() string {
	r.t.Helper()
	return r.owner("POST", "/api/v1/storage/destinations", createBody).at("data", "id").(string)
}
