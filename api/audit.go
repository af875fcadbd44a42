package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const (
	defaultAudit = 20
	// maxAudit bounds a page, since an entry may have 1,000 files.
	maxAudit = 100
	// maxAuditRead is the number of entries that one page looks at: a filter that selects
	// few of many gets a short page, and goes on after it.
	maxAuditRead = 20_000
	// deletionsAtOnce is the number of deletions that are read at once.
	deletionsAtOnce = 10

	outcomeSuccess = "success"
	outcomeFailure = "failure"
)

// auditEntry is a request in responses, or what a deletion did to each file. Entries of both
// kinds have the fields of deletions, which came first.
type auditEntry struct {
	ID            string            `json:"id"`
	At            stamp             `json:"at"`
	Action        string            `json:"action"`
	Outcome       string            `json:"outcome"`
	Org           string            `json:"organizationId,omitempty"`
	DestinationID string            `json:"destinationId"`
	Target        string            `json:"target,omitempty"`
	Who           string            `json:"who"`
	Role          string            `json:"role,omitempty"`
	Address       string            `json:"address,omitempty"`
	RequestID     string            `json:"requestId,omitempty"`
	Count         uint64            `json:"count"`
	Numbers       map[string]uint64 `json:"numbers,omitempty"`
	StartedAt     stamp             `json:"startedAt"`
	FinishedAt    stamp             `json:"finishedAt"`
	Files         []auditFile       `json:"files"`
	BackupIDs     []string          `json:"backupIds"`
}

type auditFile struct {
	Path    string `json:"path"`
	Deleted bool   `json:"deleted"`
	Size    string `json:"size"`
	Reason  string `json:"reason,omitempty"`
	// Versioned reports that no space was freed: the bucket keeps a version.
	Versioned bool `json:"versioned,omitempty"`
	Retained  bool `json:"retained,omitempty"`
}

// listAudit returns who changed what, newest first.
func listAudit(c *call) error {
	q := c.query()
	limit, position, format := q.limit(maxAudit), string(q.cursor()), cmp.Or(q.str("format"), "json")
	filter := q.auditFilter(c.backend.now())
	if format != "json" && format != "ndjson" {
		q.wrong["format"] = "must be json or ndjson"
	}
	if err := q.err(); err != nil {
		return err
	}
	c.backend.audit.catchUp(c.context())
	if err := c.barrier(); err != nil {
		return err
	}
	if format == "ndjson" {
		return c.exportAudit(filter, limit, position)
	}
	list, next, err := c.auditPage(filter, cmp.Or(limit, defaultAudit), position)
	if err != nil {
		return err
	}
	var meta struct {
		NextCursor string `json:"nextCursor,omitempty"`
	}
	if next != "" {
		meta.NextCursor = c.cursorAfter([]byte(next))
	}
	return c.respond(envelope{Meta: meta, Data: struct {
		Entries []auditEntry `json:"entries"`
	}{append([]auditEntry{}, list...)}})
}

// exportAudit streams entries as NDJSON, up to the limit if there is one.
func (c *call) exportAudit(filter *auditFilter, limit int, position string) error {
	c.Header().Set("Content-Disposition", `attachment; filename="audit.ndjson"`)
	for left := limit; ; {
		page := defaultAudit
		if limit > 0 {
			page = min(page, left)
		}
		list, next, err := c.auditPage(filter, page, position)
		if err != nil {
			return err
		}
		var lines bytes.Buffer
		enc := json.NewEncoder(&lines)
		enc.SetEscapeHTML(false)
		for _, e := range list {
			if err := enc.Encode(e); err != nil {
				return err
			}
		}
		if err := c.sendLines(lines.Bytes()); err != nil {
			return err
		}
		left -= len(list)
		if position = next; next == "" || limit > 0 && left <= 0 {
			return nil
		}
	}
}

// sendLines sends a part of an NDJSON document.
func (c *call) sendLines(lines []byte) error {
	if c.status == 0 {
		c.Header().Set("Content-Type", "application/x-ndjson")
	}
	c.extendWriteDeadline()
	if _, err := c.Write(lines); err != nil {
		return clientGone(err)
	}
	return nil
}

// auditPage returns entries after a position, newest first, and the position of the next page,
// if there may be one.
func (c *call) auditPage(filter *auditFilter, limit int, position string) (list []auditEntry, next string, err error) {
	err = c.backend.catalog.View(func(tx *catalog.Tx) error {
		read := 0
		for e, err := range newest(c.auditSources(tx, position)) {
			if err != nil {
				return err
			}
			if len(list) == limit || read == maxAuditRead {
				next = position
				return nil
			}
			read, position = read+1, auditPosition(e.ID)
			if filter.selects(e) {
				list = append(list, c.showAudit(e))
			}
		}
		return nil
	})
	return list, next, err
}

// showAudit completes an entry, and leaves out what only operators see.
func (c *call) showAudit(e *auditEntry) auditEntry {
	shown := *e
	if !c.operator() {
		shown.Org = ""
		if e.Role == string(catalog.RoleRoot) {
			shown.Address, shown.RequestID = "", ""
		}
	}
	if e.Org == strangers {
		shown.Org = ""
	}
	if shown.Files == nil {
		shown.Files = []auditFile{}
	}
	if shown.BackupIDs == nil {
		shown.BackupIDs = []string{}
	}
	return shown
}

// operator reports whether the caller belongs to no organization.
func (c *call) operator() bool { return c.token.Role == string(catalog.RoleRoot) }

// auditSources returns the lists that the caller may read: of its organization; for operators of
// the one that they name, or of all organizations and the cluster. Operators do not see names of files.
func (c *call) auditSources(tx *catalog.Tx, position string) []auditSource {
	switch {
	case !c.operator():
		return []auditSource{requestsOf(tx, c.org, position), deletionsOf(tx, c.org, position)}
	case c.org != "":
		return []auditSource{requestsOf(tx, c.org, position)}
	}
	var list []auditSource
	for _, org := range tx.TrailOrgs() {
		list = append(list, requestsOf(tx, org, position))
	}
	return list
}

// auditSource yields entries in descending order of their position.
type auditSource = iter.Seq2[*auditEntry, error]

// auditPosition returns the part of an id by which entries of all kinds are ordered.
func auditPosition(id string) string {
	_, position, _ := strings.Cut(id, "_")
	return position
}

// requestsOf yields the entries of requests.
func requestsOf(tx *catalog.Tx, org, position string) auditSource {
	before := ""
	if position != "" {
		before = string(catalog.KindAudit) + "_" + position
	}
	return func(yield func(*auditEntry, error) bool) {
		if err := tx.Trail(org, before, func(e *pb.AuditEntry) bool { return yield(showRequest(e), nil) }); err != nil {
			yield(nil, err)
		}
	}
}

func showRequest(e *pb.AuditEntry) *auditEntry {
	return &auditEntry{
		ID: e.Id, At: stamp(e.At), Action: e.Action, Outcome: cmp.Or(e.Outcome, outcomeSuccess), Org: e.Org, DestinationID: e.DestinationId,
		Target: e.Target, Who: e.Actor, Role: e.Role, Address: e.Address, RequestID: e.RequestId, Count: e.Count, Numbers: e.Numbers,
		StartedAt: stamp(e.At), FinishedAt: stamp(e.At),
	}
}

// deletionsOf yields what finished deletions did to each file.
func deletionsOf(tx *catalog.Tx, org, position string) auditSource {
	before := ""
	if position != "" {
		before = string(catalog.KindIntent) + "_" + position
	}
	return func(yield func(*auditEntry, error) bool) {
		for {
			list, err := tx.Audit(org, before, deletionsAtOnce)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, a := range list {
				if !yield(showDeletion(a), nil) {
					return
				}
			}
			if len(list) < deletionsAtOnce {
				return
			}
			before = list[len(list)-1].Id
		}
	}
}

func showDeletion(a *pb.Audit) *auditEntry {
	e := &auditEntry{
		ID: a.Id, At: stamp(a.FinishedAt), Action: actionFilesGone, Outcome: outcomeSuccess, Org: a.Org, DestinationID: a.DestinationId, Who: a.Who,
		Count: 1, StartedAt: stamp(a.BegunAt), FinishedAt: stamp(a.FinishedAt), Files: []auditFile{}, BackupIDs: append([]string{}, a.BackupIds...),
	}
	for _, o := range a.Outcomes {
		e.Files = append(e.Files, auditFile{string(o.Path), o.Deleted, strconv.FormatInt(o.Size, 10), o.Reason, o.Versioned, o.Retained})
		if !o.Deleted {
			e.Outcome = outcomeFailure
		}
	}
	return e
}

// newest merges sources into one.
func newest(sources []auditSource) auditSource {
	return func(yield func(*auditEntry, error) bool) {
		type head struct {
			entry *auditEntry
			next  func() (*auditEntry, error, bool)
		}
		var heads []*head
		advance := func(h *head) (ok bool, err error) {
			h.entry, err, ok = h.next()
			return ok, err
		}
		for _, s := range sources {
			next, stop := iter.Pull2(s)
			defer stop()
			h := &head{next: next}
			ok, err := advance(h)
			if err != nil {
				yield(nil, err)
				return
			}
			if ok {
				heads = append(heads, h)
			}
		}
		for len(heads) > 0 {
			first := slices.MaxFunc(heads, func(a, b *head) int {
				return strings.Compare(auditPosition(a.entry.ID), auditPosition(b.entry.ID))
			})
			if !yield(first.entry, nil) {
				return
			}
			ok, err := advance(first)
			if err != nil {
				yield(nil, err)
				return
			}
			if !ok {
				heads = slices.DeleteFunc(heads, func(h *head) bool { return h == first })
			}
		}
	}
}

// auditFilter selects entries.
type auditFilter struct {
	actor, action, outcome, destination, path string
	since, until                              int64
}

// auditFilter reads the filter of the audit.
func (q *query) auditFilter(now time.Time) *auditFilter {
	f := &auditFilter{
		actor: q.id("actor"), action: q.id("action"), outcome: q.id("outcome"), destination: q.id("destinationId"), path: q.id("path"),
		since: q.time("since", now), until: q.time("until", now),
	}
	if f.since != 0 && f.until != 0 && f.until < f.since {
		q.wrong["until"] = "must not be before since"
	}
	return f
}

// time returns a time in Unix milliseconds, or 0 without one: RFC 3339, or how long ago it was.
func (q *query) time(name string, now time.Time) int64 {
	v := q.id(name)
	if v == "" {
		return 0
	}
	if age, err := parseAge(v); err == nil {
		return now.Add(-age).UnixMilli()
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		q.wrong[name] = "must be a time such as 2026-01-15T10:00:00Z, or how long ago, such as 24h or 7d"
		return 0
	}
	return t.UnixMilli()
}

// selects reports whether an entry passes the filter. An action selects also those that it is
// the first part of: token selects token.create.
func (f *auditFilter) selects(e *auditEntry) bool {
	outcome := f.outcome == "" || strings.EqualFold(f.outcome, e.Outcome) || strings.EqualFold(f.outcome, outcomeFailure) && e.Outcome != outcomeSuccess
	return outcome &&
		(f.actor == "" || f.actor == e.Who) &&
		(f.action == "" || f.action == e.Action || strings.HasPrefix(e.Action, f.action+".")) &&
		(f.destination == "" || f.destination == e.DestinationID) &&
		(f.since == 0 || int64(e.At) >= f.since) && (f.until == 0 || int64(e.At) < f.until) &&
		(f.path == "" || slices.ContainsFunc(e.Files, func(o auditFile) bool { return o.Path == f.path }))
}
