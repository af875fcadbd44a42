package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// call calls the API of a node and returns the status and the body.
func (r *running) call(t *testing.T, method, path, token, org, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("X-Organization-Id", org)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// token creates a token of an organization.
func (r *running) token(t *testing.T, root, role string) string {
	t.Helper()
	status, body := r.call(t, "POST", "/api/v1/admin/tokens", root, "", `{"organizationId":"acme","role":"`+role+`"}`)
	var response struct{ Data struct{ Token string } }
	if err := json.Unmarshal([]byte(body), &response); err != nil || status != http.StatusCreated {
		t.Fatalf("create a token: %d %s", status, body)
	}
	return response.Data.Token
}

func TestFirstStartMakesARootToken(t *testing.T) {
	c := testConfig(t)
	r := run(t, c)
	text, err := os.ReadFile(filepath.Join(c.DataDir, rootTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	root := strings.TrimSpace(string(text))
	owner := r.token(t, root, "owner")
	if status, body := r.call(t, "GET", "/api/v1/storage/destinations", owner, "acme", ""); status != http.StatusOK {
		t.Errorf("a new token: %d %s", status, body)
	}
	r.end(t)

	// Neither the token nor what it made is lost, and no other root token is made.
	r = run(t, c)
	if status, body := r.call(t, "GET", "/api/v1/storage/destinations", owner, "acme", ""); status != http.StatusOK {
		t.Errorf("a token after a restart: %d %s", status, body)
	}
	if status, body := r.call(t, "GET", "/api/v1/admin/cluster", root, "", ""); status != http.StatusOK || !strings.Contains(body, `"id":"n1"`) {
		t.Errorf("the root token after a restart: %d %s", status, body)
	}
}

// TestRootTokenIsMadeOnce gives a token at two starts: only the first one counts, and a
// revoked one stays revoked.
func TestRootTokenIsMadeOnce(t *testing.T) {
	c := testConfig(t)
	first, second := catalog.NewToken(), catalog.NewToken()
	c.RootToken = catalog.NewSecret(first)
	run(t, c).end(t)
	if _, err := os.Stat(filepath.Join(c.DataDir, rootTokenFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a root token was written although one was given: %v", err)
	}
	c.RootToken = catalog.NewSecret(second)
	r := run(t, c)
	check := func(want map[string]int) {
		t.Helper()
		for token, want := range want {
			if status, body := r.call(t, "GET", "/api/v1/admin/cluster", token, "", ""); status != want {
				t.Errorf("status %d, want %d: %s", status, want, body)
			}
		}
	}
	check(map[string]int{first: http.StatusOK, second: http.StatusUnauthorized})
	status, body := r.call(t, "POST", "/api/v1/admin/tokens", first, "", `{"role":"root"}`)
	var made struct{ Data struct{ Token string } }
	if err := json.Unmarshal([]byte(body), &made); err != nil || made.Data.Token == "" {
		t.Fatalf("create a root token: %d %s", status, body)
	}
	if status, body := r.call(t, "DELETE", "/api/v1/admin/tokens/"+catalog.RootTokenID, made.Data.Token, "", ""); status != http.StatusOK {
		t.Fatalf("revoke the root token: %d %s", status, body)
	}
	for _, given := range []string{"", first, second} {
		r.end(t)
		c.RootToken = catalog.NewSecret(given)
		r = run(t, c)
		check(map[string]int{first: http.StatusUnauthorized, second: http.StatusUnauthorized, made.Data.Token: http.StatusOK})
	}

	// A node that runs keeps its root token; one that has stopped gets a new one.
	if _, err := RecoverRootToken(c.DataDir); err == nil {
		t.Error("the root token of a running node was replaced")
	}
	r.end(t)
	file, err := RecoverRootToken(c.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	r = run(t, c)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	recovered := strings.TrimSpace(string(text))
	for { // it is stored after the node is ready
		if status, _ := r.call(t, "GET", "/api/v1/admin/cluster", recovered, "", ""); status == http.StatusOK {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	check(map[string]int{first: http.StatusUnauthorized, made.Data.Token: http.StatusOK, recovered: http.StatusOK})
	r.end(t)
	if _, err := os.Stat(filepath.Join(c.DataDir, recoverFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the request for a new root token is still there: %v", err)
	}
	if _, err := RecoverRootToken(t.TempDir()); err == nil {
		t.Error("a directory without a node has a new root token")
	}
}

// No stored file contains credentials in plain text.
func TestCredentialsAreStoredEncrypted(t *testing.T) {
	c := testConfig(t)
	root := catalog.NewToken()
	c.RootToken = catalog.NewSecret(root)
	r := run(t, c)
	const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	status, body := r.call(t, "POST", "/api/v1/storage/destinations", r.token(t, root, "owner"), "acme",
		`{"name":"d","type":"S3","bucket":"backups","region":"us-east-1","credentials":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"`+secret+`"}}`)
	if status/100 != 2 || strings.Contains(body, secret) {
		t.Fatalf("create a destination: %d %s", status, body)
	}
	var stored *pb.Destination
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		all, err := tx.AllDestinations()
		if len(all) == 1 {
			stored = all[0]
		}
		return err
	}); err != nil || stored == nil {
		t.Fatal(stored, err)
	}
	if plain, err := r.keys.Open("acme", stored.Id, secretAccessKey, stored.Sealed[secretAccessKey]); err != nil || plain != secret {
		t.Errorf("decrypted %q, %v", plain, err)
	}
	if _, err := r.buckets.Open(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	// What was opened serves until the destination is changed.
	stored.Sealed[secretAccessKey] = []byte("something else")
	if _, err := r.buckets.Open(t.Context(), stored); err != nil {
		t.Errorf("the bucket was opened twice: %v", err)
	}
	stored.UpdatedAt++
	if _, err := r.buckets.Open(t.Context(), stored); err == nil {
		t.Error("the bucket of changed credentials is the old one")
	}
	r.end(t)
	err := filepath.WalkDir(c.DataDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(secret)) || bytes.Contains(data, []byte(root)) {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	// With another secret the keyset is not opened, and the start fails.
	if err := writeFile(filepath.Join(c.DataDir, secretFile), []byte(strings.Repeat("A", 43)+"=\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "cluster secret or master key") {
		t.Errorf("started with another secret: %v", err)
	}
}

func TestRefusedStarts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := testConfig(t)
	held := run(t, c)
	clash := taken.Addr().String() + " is in use by another process: stop it, or set another port"
	for name, change := range map[string]struct {
		with func(*Config)
		want string
	}{
		"taken port":     {func(c *Config) { c.HTTPAddr = taken.Addr().String() }, "--http-addr " + clash},
		"taken metrics":  {func(c *Config) { c.MetricsAddr = taken.Addr().String() }, "--metrics-addr " + clash},
		"taken cluster":  {func(c *Config) { c.ClusterAddr = taken.Addr().String() }, "--cluster-addr " + clash},
		"taken gossip":   {func(c *Config) { c.GossipAddr = taken.Addr().String() }, "--gossip-addr " + clash},
		"taken data":     {func(c *Config) { c.DataDir = held.config.DataDir }, "in use by another firescan"},
		"bad endpoint":   {func(c *Config) { c.AllowEndpoints = []string{"10.0.0.0/99"} }, "--allow-endpoint"},
		"no certificate": {func(c *Config) { c.TLSCert, c.TLSKey = "none.pem", "none.key" }, "--http-tls-cert"},
		"no secret":      {func(c *Config) { c.SecretFile = "none" }, "none"},
	} {
		wrong := testConfig(t)
		change.with(&wrong)
		if _, err := New(wrong); err == nil || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMetricsAndHealth(t *testing.T) {
	r := run(t, testConfig(t))
	for path, want := range map[string]string{
		"/healthz": "", "/readyz": "", "/metrics": "firescan_build_info",
	} {
		if status, body := r.call(t, "GET", path, "", "", ""); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
}

// An open event stream does not keep the node from stopping.
func TestEventStreamsEndWithTheNode(t *testing.T) {
	c := testConfig(t)
	root := catalog.NewToken()
	c.RootToken = catalog.NewSecret(root)
	r := run(t, c)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/api/v1/storage/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token(t, root, "viewer"))
	req.Header.Set("X-Organization-Id", "acme")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r.end(t)
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the stream did not end cleanly: %v", err)
	}
}
