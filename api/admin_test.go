package api

import (
	"testing"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestOperate checks what only the root token may do to the cluster.
func TestOperate(t *testing.T) {
	r := newRig(t, mem.Options{})
	root := func(method, path string) *response { return r.do(catalog.RoleRoot, method, "/api/v1/admin"+path, "") }
	if a := root("POST", "/keys/rotate"); a.status != 200 || a.at("data", "destinations") != 2.0 {
		t.Errorf("rotate: %d %s", a.status, a.raw)
	}
	if a := root("POST", "/secret/rotate"); a.status != 200 || a.at("data", "nodes") != 3.0 {
		t.Errorf("rotate the secret: %d %s", a.status, a.raw)
	}
	if a := root("DELETE", "/cluster/n1"); a.status != 200 || a.at("message") != "Node removed" {
		t.Errorf("remove: %d %s", a.status, a.raw)
	}
	root("DELETE", "/cluster/n2").refused(409, CodeConflict)
	root("DELETE", "/cluster/nobody").refused(404, CodeNotFound)
}
