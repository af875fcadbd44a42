package api

import (
	"maps"
	"strings"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const (
	actionLogin     = "login.failed"
	actionFeedPut   = "feed.put"
	actionFeedDrop  = "feed.delete"
	actionStartSync = "sync.start"
	actionFilesGone = "file.deleted"
)

// auditActions returns the action of each endpoint that changes something, as the audit names
// it, and "" for endpoints that only read.
func auditActions() map[string]string {
	const storage, catalog, admin = "/api/v1/storage", "/api/v1/catalog", "/api/v1/admin"
	const one = storage + "/destinations/:id"
	all := map[string]string{
		// These use the credentials in their body.
		"POST " + storage + "/connect":                "provider.connect",
		"POST " + storage + "/buckets/verify":         "bucket.verify",
		"POST " + storage + "/buckets/create":         "bucket.create",
		"POST " + storage + "/buckets/folders":        "folder.list",
		"POST " + storage + "/buckets/folders/create": "folder.create",

		"POST " + storage + "/destinations":    "destination.create",
		"PUT " + one:                           "destination.update",
		"DELETE " + one:                        "destination.delete",
		"POST " + one + "/verify":              "destination.verify",
		"POST " + one + "/migrate":             "destination.migrate",
		"DELETE " + one + "/files":             "file.delete",
		"POST " + one + "/files/bulk-delete":   "file.delete",
		"POST " + one + "/backups/bulk-delete": "backup.delete",
		"POST " + one + "/cleanup-orphans":     "orphan.clean",
		"POST " + storage + "/sync":            actionStartSync,
		"DELETE " + storage + "/syncs/:id":     "sync.cancel",
		"POST " + catalog + "/import":          "feed.import",
		"POST " + catalog + "/import/check":    "",
		"POST " + admin + "/tokens":            "token.create",
		"DELETE " + admin + "/tokens/:id":      "token.revoke",
		"POST " + admin + "/keys/rotate":       "cluster.rotate-keys",
		"POST " + admin + "/secret/rotate":     "cluster.rotate-secret",
		"DELETE " + admin + "/cluster/:id":     "cluster.remove",
		"GET " + one + "/files":                forced,
		"GET " + one + "/files/stats":          forced,
		"GET " + storage + "/stats":            forced,
	}
	for _, k := range feedKinds() {
		all["PUT "+catalog+"/"+k.plural+"/:id"] = actionFeedPut
		all["DELETE "+catalog+"/"+k.plural+"/:id"] = actionFeedDrop
	}
	return all
}

// forced endpoints only read, unless force=true has them start a sync.
const forced = "forced"

// audited is what a handler adds to the audit of its request.
type audited struct {
	// org is that of what was changed, if it is not the caller's.
	org         string
	destination string
	target      string
	numbers     map[string]uint64
	// nothing was changed, although the request succeeded.
	nothing bool
}

// did adds a number of what the request did. Zero counts as nothing to tell.
func (a *audited) did(what string, n uint64) {
	if n == 0 {
		return
	}
	if a.numbers == nil {
		a.numbers = map[string]uint64{}
	}
	a.numbers[what] = n
}

// record has the request audited after its end. Reads are not, and neither is a request that
// another node has carried out or that repeats an earlier one.
func (c *call) record() {
	action := c.action
	if action == forced {
		action = ""
		if c.audited.numbers != nil {
			action = actionStartSync
		}
	}
	switch {
	case action == "", c.token == nil, c.audited.nothing && c.code == "", c.forwarded && c.code == "",
		c.code == "" && c.Header().Get(replayedHeader) != "":
		return
	}
	e := &pb.AuditEntry{
		Org: c.token.Org, At: c.backend.now().UnixMilli(), Actor: c.token.Id, Role: c.token.Role, Action: action,
		DestinationId: c.audited.destination, Target: c.audited.target, Address: addressText(c.address()),
		RequestId: c.Header().Get("X-Request-Id"), Outcome: string(c.code), Count: 1, Numbers: c.audited.numbers,
	}
	if c.audited.org != "" {
		e.Org = c.audited.org
	}
	c.name(e)
	feed := action == actionFeedPut || action == actionFeedDrop
	c.backend.audit.record(e, e.Outcome == "" && !feed)
}

// name adds the id in the path of the request.
func (c *call) name(e *pb.AuditEntry) {
	id := c.id()
	switch {
	case !validID(id): // it is text of the client
	case c.route.ofDestination():
		e.DestinationId = id
	case e.Target == "":
		e.Target = id
	}
	if e.DestinationId == "" && c.action == actionStartSync {
		if id := c.Request.URL.Query().Get("destinationId"); validID(id) {
			e.DestinationId = id
		}
	}
}

// recordLogin has a failed login audited. Whose token it was is known of an expired one only.
// The address is what limits count by: an IPv4 address as a network, or an IPv6 network.
func (b *backend) recordLogin(address string, t *pb.Token, code Code) {
	address = strings.TrimSuffix(address, "/32") // IPv4, as in other entries
	e := &pb.AuditEntry{Org: strangers, At: b.now().UnixMilli(), Action: actionLogin, Address: address, Outcome: string(code), Count: 1}
	if t != nil {
		e.Org, e.Actor, e.Role = t.Org, t.Id, t.Role
	}
	b.audit.record(e, false)
}

// RecordNode has something that a node did by itself audited.
func (s *Server) RecordNode(action, node string) {
	s.backend.audit.record(&pb.AuditEntry{At: s.backend.now().UnixMilli(), Action: action, Target: node, Count: 1}, false)
}

// tokenOrg returns the organization of a token, "" if there is none.
func (c *call) tokenOrg(id string) (org string) {
	_ = c.backend.catalog.View(func(tx *catalog.Tx) error {
		all, err := tx.Tokens()
		for _, t := range all {
			if t.Id == id {
				org = t.Org
			}
		}
		return err
	})
	return org
}

// merge adds an entry of the same kind. What differs is left out.
func merge(into, e *pb.AuditEntry) {
	if into.Count > 0 {
		if into.DestinationId != e.DestinationId {
			into.DestinationId = ""
		}
		if into.Target != e.Target {
			into.Target = ""
		}
	} else {
		into.DestinationId, into.Target = e.DestinationId, e.Target
	}
	into.At, into.RequestId, into.Role = e.At, e.RequestId, e.Role
	into.Count += e.Count
	if into.Numbers == nil {
		into.Numbers = maps.Clone(e.Numbers)
		return
	}
	for what, n := range e.Numbers {
		into.Numbers[what] += n
	}
}
