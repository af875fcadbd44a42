package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
)

// respondTagged sends a successful envelope with an entity tag of content, or 304 without a
// body when the client has that content. The tag is weak: meta is not part of it.
func (c *call) respondTagged(e envelope, content any) error {
	hash := sha256.New()
	enc := json.NewEncoder(hash)
	for _, part := range []any{c.org, c.Request.URL.Path, content} {
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
