package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestImport(t *testing.T) {
	for name, c := range map[string]struct {
		status    int
		response  string
		code      int
		out, errs string
	}{
		"all valid": {
			200, `{"success":true,"data":{"imported":{"backups":1234,"projects":1},"failedCount":0,"errors":[]}}`,
			exitOK, "imported 1 projects, 1,234 backups, 0 schedules, 0 PITR configurations\n", "",
		},
		"invalid lines": {
			200, `{"success":true,"data":{"imported":{"backups":1},"failedCount":2,"errors":[{"line":2,"message":"id\nis missing"},{"line":7,"message":"no"}]}}`,
			exitFailed, "imported 0 projects, 1 backups, 0 schedules, 0 PITR configurations\n",
			"line 2: id; is missing\nline 7: no\nfirescan: 2 lines were not imported",
		},
		"refused": {
			401, `{"success":false,"error":{"code":"UNAUTHORIZED","message":"Who?"}}`,
			exitFailed, "", "firescan: Who? (UNAUTHORIZED); set FIRESCAN_TOKEN",
		},
		"unexpected response": {200, `[]`, exitFailed, "", "firescan: repeat the import (imports are idempotent): unexpected response"},
	} {
		t.Run(name, func(t *testing.T) {
			const records = "{}\n{}\n"
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if body, err := io.ReadAll(r.Body); err != nil || string(body) != records {
					t.Errorf("sent %q, %v", body, err)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.response)
			}))
			defer server.Close()
			a, out, errs := testApp(nil)
			a.in = strings.NewReader(records)
			code := run(t.Context(), a, []string{"import", "--addr", server.URL, "--token", "t", "--org", "o", "-"})
			if code != c.code || out.String() != c.out || !strings.HasPrefix(errs.String(), c.errs) {
				t.Errorf("exit code %d\nout: %serr: %s", code, out, errs)
			}
		})
	}
}

// An import that is rejected before its input is read ends with the reason.
func TestImportRefusedUnread(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"success":false,"error":{"code":"PERMISSION_DENIED","message":"Not you"}}`)
	}))
	defer server.Close()
	a, _, errs := testApp(nil)
	a.in = endless{}
	code := run(t.Context(), a, []string{"import", "--addr", server.URL, "--token", "t", "--org", "o", "-"})
	if code != exitFailed || !strings.Contains(errs.String(), "Not you (PERMISSION_DENIED)") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// An import that waits for input ends when the user interrupts it.
func TestImportStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stop()
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer server.Close()
	a, _, errs := testApp(nil)
	in, out := io.Pipe()
	defer func() { _ = out.Close() }() // ends the last read
	a.in = in
	code := run(ctx, a, []string{"import", "--addr", server.URL, "--token", "t", "--org", "o", "-"})
	if code != exitFailed || errs.String() != "firescan: stopped\n" {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// A damaged file is not taken for a broken connection.
func TestImportOfADamagedFile(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer server.Close()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, strings.Repeat("{}\n", 1000))
	_ = z.Close()
	a, _, errs := testApp(nil)
	a.in = bytes.NewReader(packed.Bytes()[:packed.Len()-9])
	code := run(t.Context(), a, []string{"import", "--addr", server.URL, "--token", "t", "--org", "o", "-"})
	if code != exitFailed || !strings.HasPrefix(errs.String(), "firescan: the records cannot be read to their end") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestUploadLines(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	report := uploadLines(&out, 4096, func() time.Time { return now })
	for n := range int64(3) {
		report(n * 1024) // too early for a line
	}
	now = now.Add(lineInterval)
	report(2048)
	report(3072)
	if got := out.String(); got != "import: 2.0 KiB of 4.0 KiB\n" {
		t.Errorf("printed %q", got)
	}
	now = now.Add(lineInterval)
	report = uploadLines(&out, 0, func() time.Time { return now })
	now = now.Add(lineInterval)
	report(512)
	if got := out.String(); !strings.HasSuffix(got, "import: 512 B\n") {
		t.Errorf("from standard input: %q", got)
	}
}
