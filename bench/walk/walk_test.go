// Package walk_test calls all endpoints of the Storage API in the order of the
// specification, with curl, on real servers. It prints and compares each response with
// the documented one.
//
//	make walk
package walk_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"firescan/api/contract"
	"firescan/provider/providertest/environ"
	"firescan/provider/providertest/fakegcs"
	"firescan/provider/providertest/versitygw"
)

const org = "org_abc123"

// added are the response fields that the examples of the specification do not have.
var added = []string{
	"meta", "meta.isSyncing", "meta.needsSync", "meta.nextScheduledSyncAt", "meta.lastSyncError", "data.destinations[].lastSyncAt", "data.destinations[].lastSyncError", "meta.nextCursor", "data.byType.unknown", "data.syncIds",
	"data.endpoint", "data[].endpoint", "data.conditionalDelete", "data.keyMapping", "data.planHash", "data.failedCount", "data.skipped", "data.feed",
	"data.stemRule", "data[].stemRule", "data.overlaps", "data.destinations[].countedIn",
	"data.linkedByStemFiles", "data.destinations[].linkedByStemFiles", "data.totals.linkedByStemFiles",
	"data.linkedByStemSize", "data.destinations[].linkedByStemSize", "data.totals.linkedByStemSize",
	"data.missingBackups", "data.destinations[].missingBackups", "data.notLookedForBackups", "data.destinations[].notLookedForBackups",
}

// step is one request of the walk.
type step struct {
	method, path string
	body         string
	// example is the name of the documented response in api/testdata/spec.
	example string
	// message is the expected message, if the specification defines it.
	message string
}

// TestWalk calls all 22 endpoints on an S3 server, versitygw.
func TestWalk(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a node and an S3 server")
	}
	t.Log("Starting versitygw, which is built at the first time")
	endpoint, access, secret := versitygw.Start(t)
	n := start(t)
	t.Log("Preparing a bucket, files and records")
	account := fmt.Sprintf(`"provider":"S3","region":"us-east-1","endpoint":%q,"credentials":{"accessKeyId":%q,"secretAccessKey":%q}`, endpoint, access, secret)
	in := func(bucket, more string) string { return fmt.Sprintf(`{%s,"bucketName":%q%s}`, account, bucket, more) }

	// Set up a bucket with files and records.
	n.must("POST", "/api/v1/storage/buckets/create", in("my-backup-bucket", ""))
	for _, folder := range []string{"backups/production", "backups/staging", "archives"} {
		n.must("POST", "/api/v1/storage/buckets/folders/create", in("my-backup-bucket", fmt.Sprintf(`,"folderName":%q`, folder)))
	}
	upload(t, endpoint, access, secret, "my-backup-bucket",
		"backups/production/bkp_abc123.backup", "backups/production/bkp_abc123.meta.json", "backups/production/bkp_def456.backup",
		"backups/production/bkp_old997.backup", "backups/production/bkp_old998.backup", "backups/production/bkp_old999.backup",
		"backups/production/bkp_old996.auth", "backups/production/pitr/000001")
	saved := fmt.Sprintf(`{"name":"Production S3","type":"S3","bucket":"my-backup-bucket","path":"backups/production","region":"us-east-1","endpoint":%q,"credentials":{"accessKeyId":%q,"secretAccessKey":%q}}`, endpoint, access, secret)
	id := n.must("POST", "/api/v1/storage/destinations", saved).text("data", "id")
	spare := n.must("POST", "/api/v1/storage/destinations", strings.Replace(saved, "Production S3", "New Production Storage", 1)).text("data", "id")
	n.feed("projects/proj_xyz789", `{"name":"Production App"}`)
	for _, backup := range []string{"bkp_abc123", "bkp_def456"} {
		n.feed("backups/"+backup, fmt.Sprintf(`{"storageId":%q,"projectId":"proj_xyz789","status":"completed","size":6200000,"collections":["users","orders"],"createdAt":"2024-01-15T10:00:00Z","storagePath":"backups/production/%s.backup"}`, id, backup))
	}
	for i := range 3 {
		n.feed(fmt.Sprintf("schedules/sched_%d", i), fmt.Sprintf(`{"storageId":%q,"projectId":"proj_xyz789","name":"Daily Production Backup","enabled":true,"cronExpression":"0 2 * * *"}`, id))
	}
	n.feed("pitr/pitr_def456", fmt.Sprintf(`{"storageId":%q,"projectId":"proj_xyz789","enabled":true,"status":"active","prefix":"backups/production/pitr/"}`, id))
	n.must("POST", "/api/v1/storage/destinations/"+id+"/verify", "")
	n.must("GET", "/api/v1/storage/destinations/"+id+"/files?force=true", "")

	at := "/api/v1/storage/destinations/" + id
	seen := map[string]bool{}
	for i, s := range []step{
		{"POST", "/api/v1/storage/connect", "{" + account + "}", "connect", "Connected to S3 and found 1 bucket"},
		{"POST", "/api/v1/storage/buckets/create", in("my-firebase-backups", ""), "buckets-create", "Bucket 'my-firebase-backups' created successfully"},
		{"POST", "/api/v1/storage/buckets/verify", in("my-backup-bucket", ""), "buckets-verify", ""},
		{"POST", "/api/v1/storage/buckets/folders", in("my-backup-bucket", ""), "buckets-folders", ""},
		{"POST", "/api/v1/storage/buckets/folders/create", in("my-backup-bucket", `,"folderName":"backups/new-project"`), "buckets-folders-create", "Folder created successfully"},
		{"GET", "/api/v1/storage/destinations", "", "destinations-list", ""},
		{"GET", at, "", "destinations-get", ""},
		{"POST", "/api/v1/storage/destinations", saved, "destinations-create", "Storage destination created successfully"},
		{"PUT", "/api/v1/storage/destinations/" + spare, `{"name":"New Production Storage","path":"backups/prod-v2"}`, "destinations-update", "Storage destination updated successfully"},
		{"DELETE", "/api/v1/storage/destinations/LAST", "", "destinations-delete", "Storage destination deleted successfully"},
		{"POST", at + "/verify", "", "destinations-verify", "Storage verified successfully"},
		{"GET", at + "/linked", "", "destinations-linked", ""},
		{"GET", at + "/backups", "", "backups", ""},
		{"GET", at + "/files", "", "files", ""},
		{"GET", at + "/files/stats", "", "files-stats", ""},
		{"POST", at + "/backups/bulk-delete", `{"backupIds":["bkp_abc123","bkp_def456"],"deleteStorageFiles":true}`, "backups-bulk-delete", "Deleted 2 of 2 backups and 3 storage files"},
		{"POST", at + "/migrate", fmt.Sprintf(`{"targetStorageId":%q}`, spare), "migrate", "Migrated 3 schedules and 1 PITR configurations to New Production Storage"},
		{"DELETE", at + "/files", `{"path":"backups/production/bkp_old999.backup"}`, "files-delete", "File deleted successfully"},
		{"POST", at + "/files/bulk-delete", `{"paths":["backups/production/bkp_old998.backup","backups/production/bkp_old997.backup"]}`, "files-bulk-delete", "Deleted 2 of 2 files"},
		{"POST", at + "/cleanup-orphans?minAge=0s&confirm=PLAN", "", "cleanup-orphans", "Cleaned up 1 orphan files"},
		{"GET", "/api/v1/storage/stats", "", "stats", ""},
		{"POST", "/api/v1/storage/sync", "", "sync", "Storage sync started. Subscribe to Socket.io events for progress updates."},
	} {
		if strings.Contains(s.path, "PLAN") {
			// All remaining files are orphans, so the cleanup needs confirmation.
			plan := n.must(s.method, strings.Replace(s.path, "confirm=PLAN", "dryRun=true", 1), "").text("data", "planHash")
			s.path = strings.Replace(s.path, "PLAN", plan, 1)
		}
		if s.example == "stats" {
			n.must("GET", "/api/v1/storage/destinations/"+spare+"/files?force=true", "") // its path has changed
		}
		s.path = strings.Replace(s.path, "LAST", n.last, 1)
		a := n.curl(n.owner, s.method, s.path, s.body)
		t.Log(beside(t, i+1, s, a))
		if a.status >= 300 {
			t.Errorf("%s %s: %d %s", s.method, s.path, a.status, a.raw)
			continue
		}
		for _, d := range contract.Differences(example(t, s.example), any(a.body), added...) {
			t.Errorf("%s %s: %s", s.method, s.path, d)
		}
		if s.message != "" && a.text("message") != s.message {
			t.Errorf("%s %s: message %q, want %q", s.method, s.path, a.text("message"), s.message)
		}
		if s.example == "destinations-create" {
			n.last = a.text("data", "id")
		}
		seen[s.example] = true
	}
	if len(seen) != 22 {
		t.Errorf("%d endpoints called, the specification has 22", len(seen))
	}
}

// TestWalkGCS calls the endpoints that use a provider on a Cloud Storage server,
// fake-gcs-server.
func TestWalkGCS(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a node and a Cloud Storage server")
	}
	endpoint := fakegcs.Start(t)
	n := start(t)
	for _, provider := range []string{"gcs", "firebase-storage"} {
		bucket := "walk-" + provider
		account := fmt.Sprintf(`"provider":%q,"endpoint":%q,"credentials":{"projectId":"my-project-id","credentials":%q}`, provider, endpoint, serviceAccount)
		in := fmt.Sprintf(`{%s,"bucketName":%q`, account, bucket)
		saved := fmt.Sprintf(`{"name":"Archive","type":%q,"bucket":%q,"endpoint":%q,"credentials":{"projectId":"my-project-id","credentials":%q}}`, provider, bucket, endpoint, serviceAccount)
		for i, s := range []step{
			{"POST", "/api/v1/storage/buckets/create", in + "}", "buckets-create", "Bucket '" + bucket + "' created successfully"},
			{"POST", "/api/v1/storage/connect", "{" + account + "}", "connect", ""},
			{"POST", "/api/v1/storage/buckets/verify", in + "}", "buckets-verify", ""},
			{"POST", "/api/v1/storage/buckets/folders/create", in + `,"folderName":"backups"}`, "buckets-folders-create", ""},
			{"POST", "/api/v1/storage/buckets/folders", in + "}", "buckets-folders", ""},
			{"POST", "/api/v1/storage/destinations", saved, "destinations-create", ""},
			{"POST", "/api/v1/storage/destinations/LAST/verify", "", "destinations-verify", ""},
		} {
			s.path = strings.Replace(s.path, "LAST", n.last, 1)
			a := n.curl(n.owner, s.method, s.path, s.body)
			t.Log(beside(t, i+1, s, a))
			if a.status >= 300 {
				t.Fatalf("%s %s: %d %s", s.method, s.path, a.status, a.raw)
			}
			for _, d := range contract.Differences(example(t, s.example), any(a.body), added...) {
				t.Errorf("%s %s: %s", s.method, s.path, d)
			}
			if s.example == "destinations-create" {
				n.last = a.text("data", "id")
			}
		}
		files := n.must("GET", "/api/v1/storage/destinations/"+n.last+"/files?force=true", "")
		if files.body["meta"].(map[string]any)["lastSyncAt"] == nil {
			t.Errorf("%s was not synced: %s", provider, files.raw)
		}
	}
}

// beside formats a response and the documented one in two columns.
func beside(t *testing.T, i int, s step, a *response) string {
	t.Helper()
	left, right := lines(a.body), lines(example(t, s.example))
	var out strings.Builder
	fmt.Fprintf(&out, "%d. %s\n%-78s | %s\n", i, a.command, "actual", "documented")
	for n := range max(len(left), len(right)) {
		var l, r string
		if n < len(left) {
			l = left[n]
		}
		if n < len(right) {
			r = right[n]
		}
		if len(l) > 76 {
			l = l[:75] + "…"
		}
		fmt.Fprintf(&out, "%-78s | %s\n", l, r)
	}
	return out.String()
}

func lines(v any) []string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return []string{err.Error()}
	}
	return strings.Split(string(text), "\n")
}

func example(t *testing.T, name string) any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "api", "testdata", "spec", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// response is the output of curl.
type response struct {
	t       *testing.T
	command string
	status  int
	raw     []byte
	body    map[string]any
}

func (a *response) text(path ...string) string {
	a.t.Helper()
	var v any = a.body
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			a.t.Fatalf("no %v in %s", path, a.raw)
		}
		v = m[p]
	}
	s, ok := v.(string)
	if !ok {
		a.t.Fatalf("no text at %v of %s", path, a.raw)
	}
	return s
}

// node is a `firescan serve` process.
type node struct {
	t                    *testing.T
	base                 string
	root, owner, service string
	last                 string // id of the last created destination
}

func start(t *testing.T) *node {
	t.Helper()
	for _, tool := range []string{"curl", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed", tool)
		}
	}
	t.Log("Building and starting a node")
	dir := t.TempDir()
	program := filepath.Join(dir, "firescan")
	if out, err := exec.Command("go", "build", "-o", program, "firescan/cmd/firescan").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	n := &node{t: t, base: "http://" + free(t), root: strings.Repeat("r", 40)}
	var log bytes.Buffer
	serve := exec.Command(program, "serve", "--node-id", "n1", "--data-dir", filepath.Join(dir, "data"),
		"--http-addr", strings.TrimPrefix(n.base, "http://"), "--cluster-addr", free(t), "--gossip-addr", free(t))
	serve.Env = environ.Clean("FIRESCAN_ROOT_TOKEN="+n.root, "FIRESCAN_ALLOW_ENDPOINT=127.0.0.1:*")
	serve.Stdout, serve.Stderr = &log, &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Signal(os.Interrupt)
		if err := serve.Wait(); err != nil {
			t.Errorf("stop node: %v", err)
		}
		if t.Failed() {
			t.Logf("node log:\n%s", log.String())
		}
	})
	for end := time.Now().Add(time.Minute); n.curl("", "GET", "/readyz", "").status != 200; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout: node is not ready:\n%s", log.String())
		}
	}
	for role, token := range map[string]*string{"owner": &n.owner, "service": &n.service} {
		*token = n.curl(n.root, "POST", "/api/v1/admin/tokens", fmt.Sprintf(`{"organizationId":%q,"role":%q}`, org, role)).text("data", "token")
	}
	return n
}

// curl makes a request with curl.
func (n *node) curl(token, method, path, body string) *response {
	n.t.Helper()
	args := []string{"-sS", "--max-time", "60", "-X", method, n.base + path, "-H", "Authorization: Bearer " + token, "-H", "X-Organization-Id: " + org}
	if body != "" {
		args = append(args, "-H", "Content-Type: application/json", "-d", body)
	}
	out, err := exec.Command("curl", append(args, "-w", "\n%{http_code}")...).Output()
	a := &response{t: n.t, command: shown(args, token)}
	if err != nil {
		return a // not listening yet
	}
	cut := bytes.LastIndexByte(out, '\n')
	a.raw = out[:cut]
	if _, err := fmt.Sscan(string(out[cut+1:]), &a.status); err != nil {
		n.t.Fatalf("%s: %s", a.command, out)
	}
	_ = json.Unmarshal(a.raw, &a.body)
	return a
}

// shown returns the command as a user would type it, without the token.
func shown(args []string, token string) string {
	quoted := slices.Clone(args)
	for i, a := range quoted {
		if strings.ContainsAny(a, " {?&") {
			quoted[i] = "'" + a + "'"
		}
	}
	text := "curl " + strings.Join(quoted, " ")
	if token != "" {
		text = strings.ReplaceAll(text, token, "$FIRESCAN_TOKEN")
	}
	return text
}

// must sends a request as owner that must succeed.
func (n *node) must(method, path, body string) *response {
	n.t.Helper()
	a := n.curl(n.owner, method, path, body)
	if a.status < 200 || a.status >= 300 {
		n.t.Fatalf("%s: %d %s", a.command, a.status, a.raw)
	}
	return a
}

// feed writes a record with the service token.
func (n *node) feed(path, body string) {
	n.t.Helper()
	if a := n.curl(n.service, "PUT", "/api/v1/catalog/"+path, body); a.status != 200 {
		n.t.Fatalf("%s: %d %s", a.command, a.status, a.raw)
	}
}

// upload puts files directly into a bucket.
func upload(t *testing.T, endpoint, access, secret, bucket string, keys ...string) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(endpoint), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""), HTTPClient: &http.Client{Transport: transport},
	})
	for _, key := range keys {
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("the content of " + key)}); err != nil {
			t.Fatal(err)
		}
	}
}
