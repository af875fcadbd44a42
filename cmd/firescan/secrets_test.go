package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"firescan/provider/providertest/fakegcs"
	"firescan/provider/providertest/versitygw"
)

// TestSecretsDoNotLeak calls the API with unique credentials, at well-behaved servers and
// at one that echoes requests, and then searches for them, plain and encoded, in all
// responses, logs and files of the node.
func TestSecretsDoNotLeak(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	endpoint, access, secret := versitygw.Start(t)
	newStore(t, endpoint, access, secret).put(t, map[string]int{"backups/a.backup": 10, "backups/old.backup": 20, "backups/older.backup": 20})
	hostile := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(hostile.Close)
	gcsEndpoint := fakegcs.Start(t)
	account, private := serviceAccount(t)

	canaries := map[string]string{
		"the S3 secret":                 secret,
		"the secret at the bad server":  "canary/Zk3+q8vTn0RwYxBd7JmUfLh2CsEoAiPg",
		"the key id at the bad server":  "AKIACANARY7Q2Z4X9W1V",
		"a session token":               "FwoGcanaryXIvYXdzEBYaDK9q/7Lm+3Zt==",
		"the private key of Google's":   private,
		"a second secret of an S3 user": "canary-two-5tGb8nHu3jKm6lOp9qWe",
	}
	bad := map[string]string{"accessKeyId": canaries["the key id at the bad server"], "secretAccessKey": canaries["the secret at the bad server"], "sessionToken": canaries["a session token"]}
	good := map[string]string{"accessKeyId": access, "secretAccessKey": secret}

	p := serve(t, t.TempDir())
	canaries["the root token"] = p.root
	canaries["the owner's token"] = p.owner.token
	canaries["the service's token"] = p.service.token
	seen := &transcript{}
	events := p.listen(t, seen)

	s3At := func(at string, creds map[string]string, more map[string]any) map[string]any {
		body := map[string]any{"provider": "S3", "region": "us-east-1", "endpoint": at, "credentials": creds}
		for k, v := range more {
			body[k] = v
		}
		return body
	}
	bucket := map[string]any{"bucketName": "backups"}
	folder := map[string]any{"bucketName": "backups", "folderName": "new"}
	for _, at := range []struct {
		endpoint string
		creds    map[string]string
	}{{endpoint, good}, {endpoint, bad}, {hostile.URL, bad}, {"http://127.0.0.1:1", bad}, {"http://169.254.169.254", bad}} {
		seen.call(t, p.owner, "POST", "/api/v1/storage/connect", s3At(at.endpoint, at.creds, nil))
		seen.call(t, p.owner, "POST", "/api/v1/storage/buckets/create", s3At(at.endpoint, at.creds, map[string]any{"bucketName": "made-here"}))
		seen.call(t, p.owner, "POST", "/api/v1/storage/buckets/verify", s3At(at.endpoint, at.creds, bucket))
		seen.call(t, p.owner, "POST", "/api/v1/storage/buckets/folders", s3At(at.endpoint, at.creds, bucket))
		seen.call(t, p.owner, "POST", "/api/v1/storage/buckets/folders/create", s3At(at.endpoint, at.creds, folder))
	}
	// Rejected bodies contain secrets as well.
	seen.call(t, p.owner, "POST", "/api/v1/storage/connect", map[string]any{"provider": "S3", "credentials": map[string]any{"accessKeyId": 7, "secretAccessKey": canaries["a second secret of an S3 user"]}})
	seen.call(t, p.owner, "POST", "/api/v1/storage/connect", map[string]any{"provider": "S3", "credentials": canaries["a second secret of an S3 user"]})
	seen.call(t, p.owner, "POST", "/api/v1/storage/connect", map[string]any{"provider": "gcs", "credentials": map[string]string{"projectId": "p", "credentials": strings.Replace(account, "service_account", "external_account", 1)}})
	seen.call(t, p.owner, "POST", "/api/v1/storage/connect", map[string]any{"provider": "gcs", "credentials": map[string]string{"projectId": "p", "credentials": account[:len(account)-2]}})

	destinations := []string{
		seen.destination(t, p.owner, map[string]any{"name": "good", "type": "S3", "bucket": "backups", "region": "us-east-1", "endpoint": endpoint, "credentials": good}),
		seen.destination(t, p.owner, map[string]any{"name": "bad", "type": "S3", "bucket": "backups", "region": "us-east-1", "endpoint": endpoint, "credentials": bad}),
		seen.destination(t, p.owner, map[string]any{"name": "hostile", "type": "S3", "bucket": "backups", "region": "us-east-1", "endpoint": hostile.URL, "credentials": bad}),
		seen.destination(t, p.owner, map[string]any{"name": "google", "type": "gcs", "bucket": "backups", "endpoint": gcsEndpoint, "credentials": map[string]string{"projectId": "my-project", "credentials": account}}),
	}
	seen.call(t, p.owner, "POST", "/api/v1/storage/sync", nil)
	for _, id := range destinations {
		at := "/api/v1/storage/destinations/" + id
		seen.call(t, p.owner, "PUT", at, map[string]any{"credentials": map[string]string{"accessKeyId": "AKIAOTHER", "secretAccessKey": canaries["a second secret of an S3 user"], "sessionToken": canaries["a session token"]}, "bucket": ".."})
		seen.call(t, p.owner, "POST", at+"/verify", nil)
		for _, path := range []string{"", "/linked", "/backups", "/files?force=true", "/files/stats", "/files/export"} {
			seen.call(t, p.owner, "GET", at+path, nil)
		}
		seen.call(t, p.owner, "DELETE", at+"/files", map[string]any{"path": "backups/old.backup"})
		seen.call(t, p.owner, "POST", at+"/files/bulk-delete", map[string]any{"paths": []string{"backups/older.backup", "nothing"}})
		seen.call(t, p.owner, "POST", at+"/cleanup-orphans?minAge=0s", nil)
	}
	for _, path := range []string{"/api/v1/storage/destinations", "/api/v1/storage/stats", "/api/v1/storage/syncs", "/api/v1/storage/audit", "/api/v1/openapi.json", "/metrics", "/readyz"} {
		seen.call(t, p.owner, "GET", path, nil)
	}
	admin := *p.owner
	admin.token, admin.org = p.root, ""
	seen.call(t, &admin, "GET", "/api/v1/admin/tokens", nil)
	seen.call(t, &admin, "GET", "/api/v1/admin/cluster", nil)
	seen.call(t, &admin, "POST", "/api/v1/admin/keys/rotate", nil)
	seen.call(t, p.owner, "DELETE", "/api/v1/storage/destinations/"+destinations[1], nil)
	events()
	p.end(t, syscall.SIGTERM)

	for what, canary := range canaries {
		forms := encodings(canary)
		if !found([]byte("x"+canary+"y"), forms) || !found([]byte(base64.StdEncoding.EncodeToString([]byte("ab"+canary+"c"))), forms) {
			t.Fatalf("%s would not be found", what)
		}
		seen.each(func(call string, body []byte) {
			if found(body, forms) {
				t.Errorf("%s is in the response to %s: %s", what, call, body)
			}
		})
		if found(p.log.Bytes(), forms) {
			t.Errorf("%s is in the log", what)
		}
		files := 0
		if err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			files++
			data, err := os.ReadFile(path)
			if err == nil && found(data, forms) {
				t.Errorf("%s is in %s", what, path)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if files < 5 {
			t.Fatalf("the node stored only %d files", files)
		}
	}
}

// echo denies every request and echoes it.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var headers strings.Builder
	_ = r.Header.Write(&headers)
	for name, values := range r.Header {
		w.Header().Set("X-Echo-"+name, strings.Join(values, ","))
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprintf(w, "<Error><Code>AccessDenied</Code><Message>%s %s %s %s</Message></Error>", r.Method, r.URL, headers.String(), body)
}

// A transcript keeps all responses of the node.
type transcript struct {
	mu        sync.Mutex
	calls     []string
	responses [][]byte
}

func (s *transcript) add(call string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.responses = append(s.calls, call), append(s.responses, body)
}

func (s *transcript) each(see func(call string, body []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, call := range s.calls {
		see(call, s.responses[i])
	}
}

// call makes a request and keeps headers and body of the response.
func (s *transcript) call(t *testing.T, c *client, method, path string, in any) []byte {
	t.Helper()
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, c.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if c.org != "" {
		req.Header.Set("X-Organization-Id", c.org)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusInternalServerError {
		t.Errorf("%s %s: %s", method, path, data)
	}
	var headers bytes.Buffer
	_ = resp.Header.Write(&headers)
	s.add(method+" "+path, append(headers.Bytes(), data...))
	return data
}

func (s *transcript) destination(t *testing.T, c *client, in map[string]any) string {
	t.Helper()
	data := s.call(t, c, "POST", "/api/v1/storage/destinations", in)
	var made struct{ Data struct{ ID string } }
	if err := json.Unmarshal(data, &made); err != nil || made.Data.ID == "" {
		t.Fatalf("%v: %s", err, data)
	}
	return made.Data.ID
}

// listen keeps the events of the organization until the returned function is called.
func (p *process) listen(t *testing.T, seen *transcript) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/api/v1/storage/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.owner.token)
	req.Header.Set("X-Organization-Id", p.org)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var all bytes.Buffer
		_, _ = io.Copy(&all, resp.Body)
		_ = resp.Body.Close()
		if !bytes.Contains(all.Bytes(), []byte("storage:sync-progress")) {
			t.Error("no event received")
		}
		seen.add("the events", all.Bytes())
	}()
	return func() {
		cancel()
		<-done
	}
}

// encodings returns the forms in which a secret may appear: plain, escaped for a URL, in
// hex, and in base64 at any offset of a longer text.
func encodings(secret string) [][]byte {
	forms := [][]byte{[]byte(secret), []byte(url.QueryEscape(secret)), []byte(url.PathEscape(secret)), []byte(hex.EncodeToString([]byte(secret)))}
	escaped, _ := json.Marshal(secret)
	forms = append(forms, bytes.Trim(escaped, `"`))
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			// The first and the last characters depend on adjacent bytes.
			text := encoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + secret))
			forms = append(forms, []byte(text[4:len(text)-4]))
		}
	}
	return forms
}

func found(data []byte, forms [][]byte) bool {
	for _, form := range forms {
		if bytes.Contains(data, form) {
			return true
		}
	}
	return false
}

// serviceAccount returns the JSON key of a service account, and a part of its private
// key.
func serviceAccount(t *testing.T) (account, private string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "my-project", "private_key_id": "k1", "private_key": text, "client_id": "1",
		"client_email": "backup@my-project.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(data), strings.Split(text, "\n")[5]
}
