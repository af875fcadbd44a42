package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
	"firescan/catalog/catalogtest"
	"firescan/cluster"
	"firescan/index"
	"firescan/provider"
	"firescan/provider/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	org        = "org1"
	secretText = "wJalrXUtnFEMI-canary"
)

func allTypes() []string {
	return []string{catalog.TypeS3, catalog.TypeSpaces, catalog.TypeGCS, catalog.TypeFirebase}
}

// rig is a server with a real catalog and a real index, without a cluster: commands are
// applied at once.
type rig struct {
	t       testing.TB
	server  *Server
	http    *httptest.Server
	replog  *catalogtest.Log
	node    *catalogtest.Node // applies what the server proposes
	catalog *catalog.Catalog
	index   *index.Store
	shards  string // directory of the index
	account *mem.Account
	deletes fakeDeleter
	// contract checks every call of do against the OpenAPI document.
	contract *contract.Contract
	tokens   map[catalog.Role]string
	log      *syncBuffer
	now      time.Time

	lost        atomic.Bool               // commands with an Idempotency-Key are applied, their results lost
	thawed      atomic.Pointer[time.Time] // the end of a freeze
	elsewhere   string
	toElsewhere http.RoundTripper

	liar    string            // the endpoint of a server that claims to have everything
	viewErr error             // returned by View
	openErr error             // returned by Open and Account
	tried   map[string]string // credentials of the last call of Account
}

var (
	_ Shards    = (*rig)(nil)
	_ Buckets   = (*rig)(nil)
	_ Accounts  = (*rig)(nil)
	_ Secrets   = (*rig)(nil)
	_ Endpoints = (*rig)(nil)
	_ Members   = (*rig)(nil)
	_ Freezer   = (*rig)(nil)
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
	r.replog = catalogtest.New(t, catalog.Options{Logger: logger, Registerer: registry}, "n1")
	r.replog.SetHook(func(_ context.Context, p *catalogtest.Proposal, commit func() error) error {
		err := commit()
		if err == nil && p.Once != nil && r.lost.Load() {
			return cluster.ErrUnknown
		}
		return err
	})
	r.node = r.replog.Node("n1")
	r.catalog = r.node.Catalog
	r.shards = t.TempDir()
	if r.index, err = index.Open(r.shards, index.Options{Logger: logger, Registerer: registry}); err != nil {
		t.Fatal(err)
	}
	r.server, err = New(Config{
		Catalog: r.catalog, Consensus: r.node, Shards: r, Buckets: r, Deleter: &r.deletes, Accounts: r, Secrets: r, Keys: r, ClusterSecret: r, Locator: r, Endpoints: r, Members: r, Freezer: r, Ready: r.Ready,
		Types: allTypes(), Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), OpenMetrics: true, Registerer: registry, Logger: logger,
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
	r.http = httptest.NewUnstartedServer(r.server)
	r.http.Config.ConnContext = ConnContext
	r.http.Start()
	t.Cleanup(func() {
		r.server.Close()
		r.http.Close()
		if err := r.index.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, role := range catalog.Roles() {
		r.tokens[role] = r.replog.PutToken(org, role)
	}
	return r
}

func (r *rig) Ready() error { return r.node.Barrier(context.Background()) }

func (r *rig) View(_ context.Context, id string) (*index.View, error) {
	if r.viewErr != nil {
		return nil, r.viewErr
	}
	return r.index.View(id)
}

func (r *rig) Open(_ context.Context, d *pb.Destination) (provider.Bucket, error) {
	if r.openErr != nil {
		return nil, r.openErr
	}
	if r.liar != "" && d.Endpoint == r.liar {
		return liar{mem.New(mem.Options{}, d.Bucket).Bucket(d.Bucket)}, nil
	}
	return r.account.Bucket(d.Bucket), nil
}

func (r *rig) Account(_ context.Context, _, _, _, _ string, credentials map[string]string) (provider.Account, error) {
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

// FrozenSince reports a freeze that a test set.
func (r *rig) FrozenSince(at time.Time) bool {
	thawed := r.thawed.Load()
	return thawed != nil && thawed.After(at)
}

// Holder returns the host that a test set.
func (r *rig) Holder(string) (string, bool) { return r.elsewhere, r.elsewhere != "" }

func (r *rig) Transport() http.RoundTripper { return r.toElsewhere }

func (r *rig) Totals(context.Context, string) (index.Totals, error) {
	return index.Totals{}, index.ErrNoShard
}

func (r *rig) Rotate(context.Context) (int, error) { return 2, nil }

// RotateSecret implements ClusterSecret.
func (r *rig) RotateSecret(context.Context) (int, error) { return 3, nil }

func (r *rig) Members(context.Context) ([]cluster.Member, error) {
	return []cluster.Member{{ID: "n1", Address: "127.0.0.1:1", Leader: true, Voter: true, State: "alive", Version: "test"}}, nil
}

// Peers has one other node, which Remove refuses to remove.
func (r *rig) Peers() []cluster.Peer { return []cluster.Peer{{ID: "n1"}, {ID: "n2"}} }

func (r *rig) Remove(_ context.Context, id string) error {
	if id == "n2" {
		return fmt.Errorf("%w: too few voters would remain", cluster.ErrRefused)
	}
	return nil
}

func (r *rig) propose(m proto.Message) *pb.Result {
	r.t.Helper()
	return r.replog.Must(m)
}

// response is the response to a request.
type response struct {
	t      testing.TB
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// do makes a request as a role of the organization.
func (r *rig) do(role catalog.Role, method, path, body string, header ...string) *response {
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
	a := &response{t: r.t, status: res.StatusCode, header: res.Header}
	if a.raw, err = io.ReadAll(res.Body); err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	_ = json.Unmarshal(a.raw, &a.body)
	return a
}

// owner makes a request that must succeed.
func (r *rig) owner(method, path, body string) *response {
	r.t.Helper()
	a := r.do(catalog.RoleOwner, method, path, body)
	if a.status >= 300 || a.body["success"] != true {
		r.t.Fatalf("%s %s: %d %s", method, path, a.status, a.raw)
	}
	return a
}

// at returns the value at a path of keys and array positions.
func (a *response) at(path ...any) any {
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

// refused checks an error response, and returns its details.fields.
func (a *response) refused(status int, code Code) map[string]any {
	a.t.Helper()
	if a.status != status || a.body["success"] != false || a.at("error", "code") != string(code) || a.at("error", "message") == "" {
		a.t.Fatalf("got %d %s, want %d %s", a.status, a.raw, status, code)
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
