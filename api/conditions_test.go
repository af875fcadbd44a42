package api

import (
	"net/http"
	"testing"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestVersions: a change with If-Match is made only if nobody else has made one.
func TestVersions(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	for path, bodies := range map[string][2]string{
		"projects/x":  {`{"name":"a"}`, `{"name":"b"}`},
		"backups/x":   {`{"storageId":"` + id + `","storagePath":"a","status":"running"}`, `{"storageId":"` + id + `","storagePath":"a","status":"completed"}`},
		"schedules/x": {`{"storageId":"` + id + `","name":"a"}`, `{"storageId":"` + id + `","name":"a","enabled":true}`},
		"pitr/x":      {`{"storageId":"` + id + `","prefix":"a/"}`, `{"storageId":"` + id + `","prefix":"b/"}`},
	} {
		path = "/api/v1/catalog/" + path
		put := func(body string, headers ...string) *response {
			return r.do(catalog.RoleService, "PUT", path, body, headers...)
		}
		put(bodies[0], "If-Match", "*").refused(http.StatusConflict, CodeConflict)
		first := put(bodies[0], "If-None-Match", "*")
		tag := first.header.Get("ETag")
		if first.status != 200 || tag == "" || tag != `"`+first.at("data", "version").(string)+`"` {
			t.Fatalf("%s: %d %q %s", path, first.status, tag, first.raw)
		}
		put(bodies[1], "If-None-Match", "*").refused(http.StatusConflict, CodeConflict)
		if a := put(bodies[0]); a.header.Get("ETag") != tag {
			t.Errorf("%s: the same record again changes the version from %s to %s", path, tag, a.header.Get("ETag"))
		}
		// What the client reads it may send back.
		sent := `{"version":"of long ago",` + bodies[1][1:]
		second := put(sent, "If-Match", tag)
		newTag := second.header.Get("ETag")
		if second.status != 200 || newTag == tag || newTag == `"of long ago"` {
			t.Fatalf("%s: %d %q %s", path, second.status, newTag, second.raw)
		}
		put(bodies[0], "If-Match", tag).refused(http.StatusConflict, CodeConflict)
		if a := r.do(catalog.RoleService, "GET", path, ""); a.header.Get("ETag") != newTag || `"`+a.at("data", "version").(string)+`"` != newTag {
			t.Errorf("%s: GET has version %s, want %s: %s", path, a.header.Get("ETag"), newTag, a.raw)
		}
		r.do(catalog.RoleService, "DELETE", path, "", "If-Match", tag).refused(http.StatusConflict, CodeConflict)
		for _, wrong := range []string{"abc", `"a", "b"`, `W/"a"`, `"-"`, `""`} {
			put(bodies[0], "If-Match", wrong).refused(http.StatusBadRequest, CodeValidation)
		}
		put(bodies[0], "If-None-Match", newTag).refused(http.StatusBadRequest, CodeValidation)
		r.do(catalog.RoleService, "DELETE", path, "", "If-None-Match", "*").refused(http.StatusBadRequest, CodeValidation)
		if a := r.do(catalog.RoleService, "DELETE", path, "", "If-Match", newTag); a.status != 200 {
			t.Errorf("%s: DELETE with the stored version: %d %s", path, a.status, a.raw)
		}
		r.do(catalog.RoleService, "DELETE", path, "", "If-Match", newTag).refused(http.StatusConflict, CodeConflict)
	}
}
