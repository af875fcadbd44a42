package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
)

// respondTagged sends a successful envelope with an entity tag of data and meta, or 304 without a
// body when the client has them. The tag is weak: a time that is always now is left out of it.
func (c *call) respondTagged(e envelope, data, meta any) error {
	hash := sha256.New()
	enc := json.NewEncoder(hash)
	for _, part := range []any{c.org, c.Request.URL.Path, data, meta} {
		if err := enc.Encode(part); err != nil {
			return err
		}
	}
	opaque := `"` + hex.EncodeToString(hash.Sum(nil)[:16]) + `"`
	c.Header().Set("ETag", "W/"+opaque)
	c.Header().Set("Cache-Control", "private, no-cache")
	if hasTag(c.Request.Header.Values("If-None-Match"), opaque) {
		c.WriteHeader(http.StatusNotModified)
		return nil
	}
	return c.respond(e)
}

// notNow returns a time of a next sync, and 0 for one that is due, which is the current time.
func (c *call) notNow(at stamp) stamp {
	if int64(at) <= c.backend.now().UnixMilli() {
		return 0
	}
	return at
}

// hasTag reports whether the values of If-None-Match are * or list a tag, by the weak
// comparison of RFC 9110, section 8.8.3.2. Ours are hexadecimal, so a comma ends them.
func hasTag(values []string, opaque string) bool {
	for _, value := range values {
		for tag := range strings.SplitSeq(value, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == opaque {
				return true
			}
		}
	}
	return false
}
