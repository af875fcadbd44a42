package api

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestLateMutation: what arrived before the end of a freeze changes nothing.
func TestLateMutation(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	const path = "/api/v1/catalog/projects/p"
	if a := r.do(catalog.RoleService, "PUT", path, `{"name":"first"}`); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	soon := time.Now().Add(time.Minute)
	r.thawed.Store(&soon)
	for _, late := range []struct {
		role               catalog.Role
		method, path, body string
	}{
		{catalog.RoleService, "PUT", path, `{"name":"late"}`},
		{catalog.RoleService, "DELETE", path, ""},
		{catalog.RoleService, "POST", "/api/v1/catalog/import", `{"kind":"project","id":"p","name":"late"}`},
		{catalog.RoleOwner, "POST", "/api/v1/storage/destinations", createBody},
		{catalog.RoleOwner, "DELETE", "/api/v1/storage/destinations/" + id, ""},
		{catalog.RoleOwner, "POST", "/api/v1/storage/destinations/" + id + "/files/bulk-delete", `{"paths":["a"]}`},
	} {
		a := r.do(late.role, late.method, late.path, late.body)
		a.refused(http.StatusServiceUnavailable, CodeNoLeader)
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: no Retry-After", late.method, late.path)
		}
	}
	if a := r.do(catalog.RoleViewer, "GET", path, ""); a.at("data", "name") != "first" {
		t.Errorf("the record is now %s", a.raw)
	}
	past := time.Now().Add(-time.Minute)
	r.thawed.Store(&past)
	if a := r.do(catalog.RoleService, "PUT", path, `{"name":"second"}`); a.status != 200 {
		t.Errorf("after the freeze: %d %s", a.status, a.raw)
	}
}

// TestConnState: the system shows the age of the last data, and that the client is gone,
// although nobody has read any of it.
func TestConnState(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system does not report it")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("PUT")); err != nil {
		t.Fatal(err)
	}
	sent := time.Now()
	time.Sleep(300 * time.Millisecond)
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw := ConnContext(t.Context(), conn).Value(connKey{}).(syscall.RawConn)
	age, hungUp, ok := connState(raw)
	if limit := time.Since(sent); !ok || hungUp || age < 250*time.Millisecond || age > limit+50*time.Millisecond {
		t.Errorf("the last data is %v old, want 300ms to %v; hung up %v, known %v", age, limit, hungUp, ok)
	}
	_ = client.Close()
	for end := time.Now().Add(10 * time.Second); !hungUp && time.Now().Before(end); time.Sleep(time.Millisecond) {
		_, hungUp, _ = connState(raw)
	}
	if !hungUp {
		t.Error("the client has hung up, and it does not show")
	}
}

// TestTimeLeft: a forwarded request has the time that is left of the first node's.
func TestTimeLeft(t *testing.T) {
	request := httptest.NewRequestWithContext(context.Background(), http.MethodPut, "/", strings.NewReader(""))
	c := &call{Request: request, route: &route{timeout: quick}}
	if left := c.timeout(); left != quick {
		t.Errorf("%v, want %v", left, quick)
	}
	for given, want := range map[string]time.Duration{"1500": 1500 * time.Millisecond, "-1": 0, "999999999": quick, "x": quick} {
		request.Header.Set(timeLeftHeader, given)
		if left := c.timeout(); left != want {
			t.Errorf("%s: %v, want %v", given, left, want)
		}
	}
}
