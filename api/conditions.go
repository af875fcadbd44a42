package api

import (
	"net/http"
	"strings"

	"firescan/catalog"
)

// setVersion shows the version of a record as its entity tag.
func (c *call) setVersion(r record) {
	if v := r.version(); v != "" {
		c.Header().Set("ETag", `"`+v+`"`)
	}
}

// condition returns the condition of a change of a record, empty without one: If-Match has
// the version that the client has read, and If-None-Match: * creates only.
func (c *call) condition() (string, error) {
	match, err := c.entityTag("If-Match")
	if err != nil {
		return "", err
	}
	none, err := c.entityTag("If-None-Match")
	switch {
	case err != nil:
		return "", err
	case none == "":
		return match, nil
	case none != catalog.IfStored || c.Request.Method == http.MethodDelete:
		return "", invalidField("If-None-Match", "must be *, and is for PUT only")
	case match != "":
		return "", invalidField("If-None-Match", "must not be sent with If-Match")
	}
	return catalog.IfNotStored, nil
}

// entityTag returns the one tag of a header without its quotes, empty without the header.
func (c *call) entityTag(header string) (string, error) {
	given := strings.TrimSpace(strings.Join(c.Request.Header.Values(header), ","))
	if given == "" || given == catalog.IfStored {
		return given, nil
	}
	tag := strings.TrimSuffix(strings.TrimPrefix(given, `"`), `"`)
	if len(tag) != len(given)-2 || tag == "" || len(tag) > 64 || strings.ContainsAny(tag, `"*,-`) {
		return "", invalidField(header, `must be * or one version in quotes, as the ETag of the record`)
	}
	return tag, nil
}
