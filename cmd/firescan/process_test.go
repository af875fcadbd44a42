package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	apiclient "firescan/api/client"
	"firescan/provider/providertest/environ"
	"firescan/provider/providertest/ports"
)

// A process is a running `firescan serve`.
type process struct {
	cmd     *exec.Cmd
	log     *bytes.Buffer
	dir     string
	base    string
	root    string
	org     string
	owner   *client
	service *client
}

// serve starts a node in dir and waits until it is ready. The program is this test
// binary, which TestMain runs as firescan under that name.
func serve(t *testing.T, dir string, flags ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	addr := ports.Address(t)
	p := &process{log: &bytes.Buffer{}, dir: dir, root: strings.Repeat("r", 40)}
	args := append([]string{
		"firescan", "serve", "--node-id", "n1", "--data-dir", dir, "--http-addr", addr, "--log-level", "debug",
		"--cluster-addr", "127.0.0.1:0", "--gossip-addr", "127.0.0.1:0",
	}, flags...)
	p.cmd = &exec.Cmd{Path: self, Args: args, Stdout: p.log, Stderr: p.log, Env: environ.Clean(
		"FIRESCAN_ROOT_TOKEN="+p.root, "FIRESCAN_ALLOW_ENDPOINT=127.0.0.1:*")}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end(t, syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the node's log:\n%s", lastLines(p.log.String(), 60))
		}
	})
	base := "http://" + addr
	await(t, "the node serves", func() bool {
		resp, err := http.Get(base + "/readyz") //nolint:noctx // bounded by await
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	p.base = base
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return p.as(t, "acme")
}

// as returns the process with new tokens of an organization.
func (p *process) as(t *testing.T, org string) *process {
	t.Helper()
	admin, err := newClient(p.base, p.root, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.http.CloseIdleConnections()
	checkContract(t, admin)
	seen := *p
	seen.org = org
	for role, to := range map[string]**client{"owner": &seen.owner, "service": &seen.service} {
		var made struct{ Token string }
		in := map[string]string{"organizationId": org, "role": role}
		if err := admin.call(t.Context(), http.MethodPost, "/api/v1/admin/tokens", in, &made); err != nil {
			t.Fatal(err)
		}
		if *to, err = newClient(p.base, made.Token, org, ""); err != nil {
			t.Fatal(err)
		}
		checkContract(t, *to)
		t.Cleanup((*to).http.CloseIdleConnections)
	}
	return &seen
}

// end signals the process and waits for it. SIGTERM must end it without an error.
func (p *process) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	err := p.cmd.Wait()
	if signal == syscall.SIGTERM && err != nil {
		t.Errorf("the node ended with an error: %v\n%s", err, lastLines(p.log.String(), 60))
	}
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// await polls until done returns true, for at most a minute.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout: not true that %s", what)
		}
	}
}

// connect creates a destination and returns its id.
func (p *process) connect(t *testing.T, bucket, endpoint, access, secret string) string {
	t.Helper()
	var made apiclient.Destination
	if err := p.owner.call(t.Context(), http.MethodPost, "/api/v1/storage/destinations", map[string]any{
		"name": bucket, "type": "S3", "bucket": bucket, "region": "us-east-1", "endpoint": endpoint,
		"credentials": map[string]string{"accessKeyId": access, "secretAccessKey": secret},
	}, &made); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// sync syncs a destination, which must succeed.
func (p *process) sync(t *testing.T, id string) syncRecord {
	t.Helper()
	var started startedSyncs
	if err := p.owner.call(t.Context(), http.MethodPost, syncPath(id), nil, &started); err != nil {
		t.Fatal(err)
	}
	ended, err := p.owner.waitForSyncs(t.Context(), started.SyncIDs)
	if err != nil || len(ended) != 1 || ended[0].Status != "completed" {
		t.Fatalf("sync: %+v, %v", ended, err)
	}
	return ended[0]
}
