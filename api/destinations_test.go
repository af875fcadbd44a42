package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
	"firescan/provider/mem"
)

func TestDestinationLifecycle(t *testing.T) {
	r := newRig(t, mem.Options{})
	if l := r.owner("GET", "/api/v1/storage/destinations", "").at("data").([]any); len(l) != 0 {
		t.Fatalf("a new organization has %v", l)
	}
	id := r.destination()
	path := "/api/v1/storage/destinations/" + id
	got := r.owner("GET", path, "")
	for key, want := range map[string]any{
		"id": id, "name": "Production S3", "type": "S3", "bucket": "backups-bucket", "path": "backups/production",
		"region": "us-east-1", "verified": false, "createdAt": "2026-05-01T12:00:00.000Z", "updatedAt": "2026-05-01T12:00:00.000Z",
	} {
		if got.at("data", key) != want {
			t.Errorf("%s is %v, want %v", key, got.at("data", key), want)
		}
	}
	if c := fmt.Sprint(got.at("data", "credentials")); c != "map[accessKeyId:AKIA...MPLE]" {
		t.Errorf("credentials are shown as %s", c)
	}
	r.now = r.now.Add(60e9)
	up := r.owner("PUT", path, `{"name":"Primary","path":"backups/prod-v2"}`)
	if up.at("data", "name") != "Primary" || up.at("data", "path") != "backups/prod-v2" || up.at("data", "updatedAt") != "2026-05-01T12:01:00.000Z" {
		t.Errorf("the update returned %s", up.raw)
	}
	got = r.owner("GET", path, "")
	if got.at("data", "bucket") != "backups-bucket" || got.at("data", "credentials", "accessKeyId") != "AKIA...MPLE" {
		t.Errorf("a partial update lost something: %s", got.raw)
	}
	r.owner("DELETE", path, "")
	r.do(catalog.RoleOwner, "GET", path, "").refused(404, CodeStorageNotFound)
	r.do(catalog.RoleOwner, "DELETE", path, "").refused(404, CodeStorageNotFound)
	if s := r.log.String(); strings.Contains(s, secretText) {
		t.Error("the secret is in the log")
	}
}

func TestDestinationValidation(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	with := func(old, now string) string { return strings.Replace(createBody, old, now, 1) }
	for _, c := range []struct {
		method, body string
		fields       []string
	}{
		{"POST", `{}`, []string{"name", "type", "bucket"}},
		{"POST", with(`"s3"`, `"gcs"`), []string{"credentials.accessKeyId", "credentials.keyFilename"}},
		{"POST", with(`"s3"`, `"ftp"`), []string{"type"}},
		{"POST", with(`"backups-bucket"`, `"Bad Bucket"`), []string{"bucket"}},
		{"POST", with(`"backups-bucket"`, `"a..b"`), []string{"bucket"}},
		{"POST", with(`/backups/production/`, `a/../b`), []string{"path"}},
		{"POST", with(`/backups/production/`, `a//b`), []string{"path"}},
		{"POST", with(`/backups/production/`, "a\\u0000b"), []string{"path"}},
		{"POST", with(`/backups/production/`, strings.Repeat("a", 600)), []string{"path"}},
		{"POST", with(`us-east-1`, `us east`), []string{"region"}},
		{"POST", with(`"Production S3"`, `"  "`), []string{"name"}},
		{"POST", with(`"region"`, `"endpoint":"http://169.254.169.254","region"`), []string{"endpoint"}},
		{"POST", with(`"secretAccessKey"`, `"secret"`), []string{"credentials.secret", "credentials.secretAccessKey"}},
		{"POST", with(secretText, ``), []string{"credentials.secretAccessKey"}},
		{"POST", with(`"name"`, `"shade":"red","name"`), []string{"shade"}},
		{"POST", with(`"Production S3"`, `7`), []string{"name"}},
		{"POST", createBody + `{}`, []string{"body"}},
		{"POST", `{"name":`, []string{"body"}},
		{"POST", ``, []string{"body"}},
		{"POST", `[1]`, []string{"body"}},
		{"PUT", `{"type":"gcs"}`, []string{"type"}},
		{"PUT", `{"credentials":{"accessKeyId":"","secretAccessKey":""}}`, []string{"credentials.accessKeyId", "credentials.secretAccessKey"}},
		{"PUT", `{"credentials":{"accessKeyId":"ASIA...XXXX"}}`, []string{"credentials.accessKeyId"}},
		{"PUT", `{"id":"storage_other","verified":true}`, []string{"id", "verified"}},
		{"PUT", `{"createdAt":null,"updatedAt":"2026-05-01T12:00:00.001Z"}`, []string{"updatedAt"}},
		{"POST", with(`"name"`, `"createdAt":"2026-05-01T12:00:00Z","name"`), []string{"createdAt"}},
	} {
		path := "/api/v1/storage/destinations"
		if c.method == "PUT" {
			path += "/" + id
		}
		fields := r.do(catalog.RoleOwner, c.method, path, c.body).refused(400, CodeValidation)
		for _, f := range c.fields {
			if fields[f] == nil {
				t.Errorf("%s %.80s: the fields %v do not name %s", c.method, c.body, fields, f)
			}
		}
	}
	if l := r.owner("GET", "/api/v1/storage/destinations", "").at("data").([]any); len(l) != 1 {
		t.Errorf("a refused request left %d destinations", len(l)-1)
	}
	a := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/destinations", with(secretText, "bad\\u0007"+secretText))
	if strings.Contains(string(a.raw), secretText) {
		t.Error("a refusal shows the secret")
	}
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/destinations", `{"name":"`+strings.Repeat("x", 2<<20)+`"}`).refused(413, CodeTooLarge)
}

// TestStemRule sets the rule, and changes and refuses it.
func TestStemRule(t *testing.T) {
	r := newRig(t, mem.Options{})
	body := strings.Replace(createBody, "{", `{"stemRule":"knownSuffix",`, 1)
	created := r.owner("POST", "/api/v1/storage/destinations", body)
	path := "/api/v1/storage/destinations/" + created.at("data", "id").(string)
	rule := func() any { return r.owner("GET", path, "").at("data", "stemRule") }
	if created.at("data", "stemRule") != "knownSuffix" || rule() != "knownSuffix" {
		t.Errorf("created with %v", rule())
	}
	r.owner("PUT", path, `{"name":"other"}`)
	if rule() != "knownSuffix" {
		t.Error("an edit of another field changed the rule")
	}
	if a := r.owner("PUT", path, `{"stemRule":"firstDot"}`); a.at("data", "stemRule") != "firstDot" || rule() != "firstDot" {
		t.Errorf("after an edit: %s", a.raw)
	}
	a := r.do(catalog.RoleMember, "PUT", path, `{"stemRule":"dot"}`)
	if fields := a.refused(400, CodeValidation); fields["stemRule"] == nil {
		t.Errorf("a rule that is unknown: %s", a.raw)
	}
	if r.owner("GET", "/api/v1/storage/destinations/"+r.destination(), "").at("data", "stemRule") != "firstDot" {
		t.Error("the default is not firstDot")
	}
}

func TestVerify(t *testing.T) {
	deny := func(kind provider.Kind) func(context.Context, string, string) error {
		return mem.Always(kind, "put")
	}
	for _, c := range []struct {
		name     string
		faults   mem.Faults
		open     error
		status   int
		code     Code
		verified bool
		write    bool
	}{
		{name: "all", status: 200, verified: true, write: true},
		{name: "read only", faults: mem.Faults{Put: deny(provider.Denied), Delete: deny(provider.Denied)}, status: 200, verified: true},
		{name: "no batches", faults: mem.Faults{DeleteBatch: func(context.Context, string, []provider.Deletion) error {
			return &provider.Error{Kind: provider.Denied, Op: "delete batch", Reason: "no batches"}
		}}, status: 200, verified: true, write: true},
		{name: "bad key", faults: mem.Broken(provider.Credentials), status: 400, code: CodeCredentials},
		{name: "no bucket", faults: mem.Broken(provider.NoBucket), status: 404, code: CodeBucketNotFound},
		{name: "down", faults: mem.Broken(provider.Unavailable), status: 502, code: CodeProvider},
		{name: "cannot open", open: &provider.Error{Kind: provider.Forbidden, Op: "connect", Reason: "is not allowed"}, status: 400, code: CodeValidation},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, mem.Options{Faults: c.faults})
			id := r.destination()
			r.openErr = c.open
			a := r.do(catalog.RoleMember, "POST", "/api/v1/storage/destinations/"+id+"/verify", "")
			if c.code != "" {
				a.refused(c.status, c.code)
			} else if a.status != 200 || a.at("data", "verified") != c.verified || a.at("data", "permissions", "write") != c.write || a.at("data", "permissions", "read") != true {
				t.Fatalf("verify returned %d %s", a.status, a.raw)
			}
			if got := r.owner("GET", "/api/v1/storage/destinations/"+id, "").at("data", "verified"); got != c.verified {
				t.Errorf("verified is %v, want %v", got, c.verified)
			}
		})
	}
}

// TestVerifyWithoutLookups: a refused lookup is named, and does not hide the rest.
func TestVerifyWithoutLookups(t *testing.T) {
	r := newRig(t, mem.Options{Faults: mem.Faults{Stat: mem.Always(provider.Denied, "stat")}})
	a := r.owner("POST", "/api/v1/storage/destinations/"+r.destination()+"/verify", "")
	if fmt.Sprint(a.at("data", "permissions")) != "map[delete:true read:false write:true]" || a.at("data", "verified") != false ||
		fmt.Sprint(a.at("data", "checks", 2)) != "map[allowed:false call:stat permission:stat reason:injected]" ||
		!strings.HasSuffix(a.at("message").(string), "the provider refuses stat") {
		t.Errorf("verify returned %s", a.raw)
	}
}

// TestVerifyAgain: only an error of the provider makes a verified destination
// unverified, not an unreachable provider.
func TestVerifyAgain(t *testing.T) {
	for kind, verified := range map[provider.Kind]bool{
		provider.Unavailable: true, provider.Throttled: true, provider.Corrupt: true, provider.Credentials: false, provider.NoBucket: false,
	} {
		r := newRig(t, mem.Options{})
		path := "/api/v1/storage/destinations/" + r.destination()
		r.owner("POST", path+"/verify", "")
		r.openErr = &provider.Error{Kind: kind, Op: "list", Reason: "injected"}
		if a := r.do(catalog.RoleMember, "POST", path+"/verify", ""); a.status < 400 {
			t.Errorf("%v: %d %s", kind, a.status, a.raw)
		}
		if got := r.owner("GET", path, "").at("data", "verified"); got != verified {
			t.Errorf("after a failure of kind %v it is verified: %v", kind, got)
		}
	}
}

// TestVerifyForAClientThatLeft: the client leaves during the call to the provider. This
// is no failure of the provider, and the destination stays as it was.
func TestVerifyForAClientThatLeft(t *testing.T) {
	var leave context.CancelFunc
	r := newRig(t, mem.Options{Faults: mem.Faults{Put: func(ctx context.Context, _, bucket string) error {
		if leave == nil {
			return nil
		}
		leave()
		<-ctx.Done()
		return provider.Ended(ctx, "put", bucket)
	}}})
	path := "/api/v1/storage/destinations/" + r.destination()
	r.owner("POST", path+"/verify", "")
	var ctx context.Context
	ctx, leave = context.WithCancel(t.Context())
	defer leave()
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, path+"/verify", http.NoBody)
	req.Header.Set("Authorization", "Bearer "+r.tokens[catalog.RoleMember])
	req.Header.Set("X-Organization-Id", org)
	r.server.ServeHTTP(httptest.NewRecorder(), req)
	if s := r.log.String(); strings.Contains(s, "level=ERROR") {
		t.Errorf("a client that left is logged as a failure: %s", s)
	}
	want := `firescan_http_requests_total{class="aborted",method="POST",route="/api/v1/storage/destinations/:id/verify"} 1`
	if m := string(r.do(catalog.RoleViewer, "GET", "/metrics", "").raw); !strings.Contains(m, want) {
		t.Errorf("the metrics have no %s", want)
	}
	if r.owner("GET", path, "").at("data", "verified") != true {
		t.Error("a destination is no longer verified because a client left")
	}
}

func TestLinkedAndInUse(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	r.propose(&pb.PutRecords{Org: org, Records: []*pb.Record{
		{Kind: &pb.Record_Schedule{Schedule: &pb.Schedule{Org: org, Id: "sched_1", StorageId: id, ProjectId: "proj_1", Name: "Daily", Enabled: true, CronExpression: "0 2 * * *"}}},
		{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Org: org, Id: "pitr_1", StorageId: id, ProjectId: "proj_1", Enabled: true, Status: "active", Prefix: []byte("wal/")}}},
		{Kind: &pb.Record_Backup{Backup: &pb.Backup{Org: org, Id: "bkp_1", StorageId: id, StoragePath: []byte("a.backup")}}},
	}})
	a := r.owner("GET", "/api/v1/storage/destinations/"+id+"/linked", "")
	if a.at("data", "schedules", 0, "cronExpression") != "0 2 * * *" || a.at("data", "pitrConfigurations", 0, "status") != "active" || a.at("data", "backupsCount") != 1.0 {
		t.Errorf("linked: %s", a.raw)
	}
	r.do(catalog.RoleOwner, "DELETE", "/api/v1/storage/destinations/"+id, "").refused(409, CodeStorageInUse)
	r.do(catalog.RoleOwner, "GET", "/api/v1/storage/destinations/storage_other/linked", "").refused(404, CodeStorageNotFound)
}
