package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"golang.org/x/text/unicode/norm"

	"firescan/provider/providertest/environ"
	"firescan/provider/providertest/s3servers"
)

// unusual are keys that some servers list under another name.
var unusual = []string{
	"/lead2.backup", "a//dbl.backup", `back\slash.backup`, "./dot.backup", "x/./in.backup", "x/../up.backup",
	"u/caf\u00e9.backup", "u/cafe\u0301s.backup", "plain/k.backup", "//deep//er.backup",
}

// mappings are what verifying finds out about the servers, as expressions.
var mappings = map[string]string{
	"minio":     `"leadingSlash":"folded","doubleSlash":"unknown","dotSegment":"unknown","backslash":"exact","composed":"exact","decomposed":"exact"`,
	"seaweedfs": `"leadingSlash":"folded","doubleSlash":"either","dotSegment":"unknown","backslash":"folded","composed":"exact","decomposed":"exact"`,
	"rclone":    `"leadingSlash":"unknown","doubleSlash":"unknown","dotSegment":"unknown","backslash":"exact","composed":"either","decomposed":"either"`,
	// Each list of a prefix that it cleans is tried several times: the time may be up.
	"rclone-1.73": `"leadingSlash":"(folded|unknown)","doubleSlash":"(folded|unknown)","dotSegment":"(folded|unknown)",` +
		`"backslash":"(exact|unknown)","composed":"(either|unknown)","decomposed":"(either|unknown)"`,
}

// TestRealServers (P19, P20): on servers that list files under other names than they were
// stored with, neither a cleanup nor a request by any name deletes what a record names, and
// orphans are deleted: whether the records or the verification came first.
func TestRealServers(t *testing.T) {
	for _, server := range s3servers.All() {
		t.Run(server.Name, func(t *testing.T) {
			endpoint, _ := server.Start(t)
			p := serve(t, t.TempDir())
			for _, order := range []string{"verify-first", "records-first", "not-verified"} {
				for _, as := range []string{"path", "files"} {
					t.Run(order+"-"+as, func(t *testing.T) { p.renamed(t, server.Name, endpoint, order, as) })
				}
			}
		})
	}
}

func (p *process) renamed(t *testing.T, server, endpoint, order, as string) {
	t.Helper()
	s := newStoreOf(t, endpoint, s3servers.AccessKey, s3servers.SecretKey, order+"-"+as)
	var needed []string
	for _, key := range unusual {
		if s.tryPut(t, key) {
			needed = append(needed, key)
		}
	}
	orphans := []string{"orphan.backup"}
	for _, key := range []string{"o//rphan.meta", "/or/phan.backup", "or/phan\u00e9.auth"} {
		if s.tryPut(t, key) {
			orphans = append(orphans, key)
		}
	}
	s.tryPut(t, orphans[0])
	listed := s.keys(t)
	id := p.connect(t, s.bucket, endpoint, s3servers.AccessKey, s3servers.SecretKey)
	verify := func() {
		out := p.firescan(t, "destination", "verify", id, "--json")
		if want := mappings[server]; !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the server names keys otherwise than %s: %s", want, out)
		}
	}
	if order == "verify-first" {
		verify()
	}
	for i, key := range needed {
		path, files := key, []string(nil)
		if as == "files" {
			path, files = "", []string{s.respell(t, key)}
		}
		if err := p.putBackup(t, fmt.Sprint(s.bucket, i), id, path, files...); err != nil {
			t.Fatal(err)
		}
	}
	if order == "records-first" {
		verify()
	}
	if now := s.keys(t); !slices.Equal(now, listed) {
		t.Fatalf("verifying left %q, there were %q", now, listed)
	}
	synced := p.sync(t, id)
	t.Logf("stored %q, listed %q: %d missing", needed, listed, synced.MissingBackups)
	if int(synced.OrphanFiles) != len(orphans) {
		t.Errorf("%d orphans, want %q", synced.OrphanFiles, orphans)
	}
	// Before the server is known, a record expects its file under the name that it has.
	if synced.MissingBackups != 0 && order == "verify-first" {
		t.Errorf("%d backups are missing:\n%s", synced.MissingBackups, p.firescan(t, "backups", id, "--missing"))
	}

	intact := func(after string) {
		t.Helper()
		for _, key := range needed {
			if got, err := s.get(t, key); err != nil || got != key {
				t.Errorf("%q is lost after %s: %q, %v", key, after, got, err)
			}
		}
	}
	names := slices.Concat(needed, listed)
	for _, name := range names {
		if !strings.Contains(name, "phan") {
			if err := p.owner.call(t.Context(), http.MethodDelete, destinationPath(id, "/files"), map[string]string{"path": name}, nil); err == nil {
				t.Errorf("%q was deleted", name)
			}
		}
	}
	intact("requests for single files")
	if synced.MissingBackups == 0 {
		p.firescan(t, "orphans", "clean", id, "--yes", "--min-age", "0s")
	} else {
		plan := p.firescan(t, "orphans", "clean", id, "--dry-run", "--min-age", "0s", "--json")
		_, after, _ := strings.Cut(plan, `"planHash":"`)
		hash, _, _ := strings.Cut(after, `"`)
		p.firescan(t, "orphans", "clean", id, "--confirm", hash, "--min-age", "0s")
	}
	intact("a cleanup")
	if left := s.keys(t); len(left) != len(needed) {
		t.Errorf("the bucket has %q, want one file for each of %q", left, needed)
	}
	s.tryPut(t, orphans[0])
	p.sync(t, id)
	if err := p.owner.call(t.Context(), http.MethodPost, destinationPath(id, "/files/bulk-delete"), map[string][]string{"paths": append(names, orphans[0])}, nil); err != nil {
		t.Log(err)
	}
	intact("requests for many files")
	if left := s.keys(t); len(left) != len(needed) {
		t.Errorf("the bucket has %q, want one file for each of %q", left, needed)
	}
}

// firescan runs a command for the owner and returns its output.
func (p *process) firescan(t *testing.T, args ...string) string {
	t.Helper()
	var out, messages bytes.Buffer
	cmd := &exec.Cmd{Path: p.cmd.Path, Args: append([]string{"firescan"}, args...), Stdout: &out, Stderr: &messages, Env: environ.Clean(
		"FIRESCAN_ADDR="+p.base, "FIRESCAN_TOKEN="+p.owner.token, "FIRESCAN_ORG="+p.org)}
	if err := cmd.Run(); err != nil {
		t.Errorf("firescan %s: %v\n%s%s", strings.Join(args, " "), err, &out, &messages)
	}
	return out.String()
}

// tryPut stores an object whose content is its key, unless the server refuses the key.
func (s *store) tryPut(t *testing.T, key string) bool {
	t.Helper()
	_, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: strings.NewReader(key)})
	var refusal smithy.APIError
	if err != nil && (!errors.As(err, &refusal) || refusal.ErrorFault() == smithy.FaultServer) {
		t.Fatalf("put %q: %v", key, err)
	}
	return err == nil
}

// respell returns another key by which the server serves the object, if there is one.
func (s *store) respell(t *testing.T, key string) string {
	t.Helper()
	for _, other := range []string{norm.NFD.String(key), norm.NFC.String(key), strings.TrimLeft(key, "./"), "/" + key} {
		if got, err := s.get(t, other); other != key && err == nil && got == key {
			return other
		}
	}
	return key
}

func (s *store) get(t *testing.T, key string) (string, error) {
	t.Helper()
	object, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(s.bucket), Key: &key})
	if err != nil {
		return "", err
	}
	defer object.Body.Close()
	content, err := io.ReadAll(object.Body)
	return string(content), err
}
