package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"firescan/catalog"
	"firescan/index"
	"firescan/provider/mem"
)

func TestRequestsAreCounted(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	r.do(catalog.RoleViewer, "GET", "/metrics", "")
	r.do(catalog.RoleViewer, "GET", "/api/v1/storage/destinations/"+id, "")
	r.do(catalog.RoleViewer, "GET", "/api/v1/storage/destinations/none", "")
	r.do(catalog.RoleViewer, "GET", "/some/where/else", "")
	m := string(r.do(catalog.RoleViewer, "GET", "/metrics", "").raw)
	for _, line := range []string{
		`{class="2xx",method="GET",route="/metrics"} 1`,
		`{class="2xx",method="GET",route="/api/v1/storage/destinations/:id"} 1`,
		`{class="4xx",method="GET",route="/api/v1/storage/destinations/:id"} 1`,
		`{class="4xx",method="any",route="none"} 1`,
	} {
		if !strings.Contains(m, "firescan_http_requests_total"+line+"\n") {
			t.Errorf("the metrics have no %s", line)
		}
	}
	if strings.Contains(m, id) {
		t.Error("an id is a label: that is a series for each destination")
	}
}

// TestCutStreamsAreCounted: the response began with 200, but an operator who looks at
// the metrics must not see it as a success.
func TestCutStreamsAreCounted(t *testing.T) {
	r := newRig(t, mem.Options{})
	for path, c := range map[string]struct {
		err   error
		class string
	}{
		"/failed": {errors.New("the disk is gone"), "5xx"},
		"/left":   {clientGone(io.ErrClosedPipe), "aborted"},
		"/whole":  {nil, "2xx"},
	} {
		stream := &route{method: "GET", path: path, access: Public, timeout: noTimeout, handle: func(call *call) error {
			return errors.Join(call.send([]byte("begun")), c.err)
		}}
		r.server.router.Handle("GET", path, r.server.backend.serve(stream))
		if _, err := r.stream(path, func() {}); errors.Is(err, http.ErrAbortHandler) != (c.err != nil) {
			t.Errorf("%s: %v", path, err)
		}
		want := fmt.Sprintf("firescan_http_requests_total{class=%q,method=\"GET\",route=%q} 1\n", c.class, path)
		if m := string(r.do(catalog.RoleViewer, "GET", "/metrics", "").raw); !strings.Contains(m, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
}

// TestFailedExportIsNotAFile: the index fails before the first line is sent.
func TestFailedExportIsNotAFile(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	r.fill(id, []index.Entry{{Path: []byte("backups/production/a.backup")}})
	r.corrupt(id)
	a := r.do(catalog.RoleViewer, "GET", "/api/v1/storage/destinations/"+id+"/files/export", "")
	a.refused(http.StatusServiceUnavailable, CodeIndexUnavailable)
	if h := a.header.Get("Content-Disposition"); h != "" {
		t.Errorf("a refusal is sent as a file: %s", h)
	}
}
