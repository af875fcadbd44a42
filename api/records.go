package api

import (
	"strings"
	"unicode/utf8"

	pb "firescan/catalog/catalogpb"
)

// The records of the catalog feed, in requests and responses.

type projectRecord struct {
	Kind    string   `json:"kind,omitempty"` // in lines of an import
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Version readOnly `json:"version,omitempty"`
}

type backupRecord struct {
	Kind        string   `json:"kind,omitempty"` // in lines of an import
	ID          string   `json:"id"`
	StorageID   string   `json:"storageId"`
	ProjectID   string   `json:"projectId"`
	Status      string   `json:"status"`
	Size        int64    `json:"size"`
	Collections []string `json:"collections"`
	CreatedAt   stamp    `json:"createdAt"`
	StoragePath string   `json:"storagePath"`
	Files       []string `json:"files,omitempty"`
	Version     readOnly `json:"version,omitempty"`
}

type scheduleRecord struct {
	Kind           string   `json:"kind,omitempty"` // in lines of an import
	ID             string   `json:"id"`
	StorageID      string   `json:"storageId"`
	ProjectID      string   `json:"projectId"`
	Name           string   `json:"name"`
	Enabled        bool     `json:"enabled"`
	CronExpression string   `json:"cronExpression"`
	Version        readOnly `json:"version,omitempty"`
}

type pitrRecord struct {
	Kind      string   `json:"kind,omitempty"` // in lines of an import
	ID        string   `json:"id"`
	StorageID string   `json:"storageId"`
	ProjectID string   `json:"projectId"`
	Enabled   bool     `json:"enabled"`
	Status    string   `json:"status"`
	Prefix    string   `json:"prefix"`
	Version   readOnly `json:"version,omitempty"`
}

// maxKey is the maximum length of an object key, in bytes.
const maxKey = 1024

// record is one of the four kinds.
type record interface {
	// kind returns the kind in the body, empty if absent.
	kind() string
	// setID sets the id of the path; it returns false when the body has another one.
	setID(id string) bool
	// check collects invalid fields.
	check(wrong fieldErrors)
	// version returns the version of a stored record.
	version() string
	// message returns the record for the catalog.
	message(org string) *pb.Record
}

var (
	_ record = (*projectRecord)(nil)
	_ record = (*backupRecord)(nil)
	_ record = (*scheduleRecord)(nil)
	_ record = (*pitrRecord)(nil)
)

func setID(own *string, id string) bool {
	if *own == "" {
		*own = id
	}
	return *own == id
}

func (r *projectRecord) kind() string  { return r.Kind }
func (r *backupRecord) kind() string   { return r.Kind }
func (r *scheduleRecord) kind() string { return r.Kind }
func (r *pitrRecord) kind() string     { return r.Kind }

// readOnly is a field that clients may send back and that has no effect.
type readOnly string

// UnmarshalJSON ignores the value.
func (*readOnly) UnmarshalJSON([]byte) error { return nil }

func (r *projectRecord) version() string  { return string(r.Version) }
func (r *backupRecord) version() string   { return string(r.Version) }
func (r *scheduleRecord) version() string { return string(r.Version) }
func (r *pitrRecord) version() string     { return string(r.Version) }

func (r *projectRecord) setID(id string) bool  { return setID(&r.ID, id) }
func (r *backupRecord) setID(id string) bool   { return setID(&r.ID, id) }
func (r *scheduleRecord) setID(id string) bool { return setID(&r.ID, id) }
func (r *pitrRecord) setID(id string) bool     { return setID(&r.ID, id) }

func (w fieldErrors) id(name, id string, required bool) {
	if (required || id != "") && !validID(id) {
		w[name] = "must have 1 to 128 letters, digits, '_', '-', '.' and ':'"
	}
}

func (w fieldErrors) text(name, s string) {
	if len(s) > maxName || !printable(s) {
		w[name] = "must have at most 200 printable characters"
	}
}

func (w fieldErrors) key(name, key string) {
	if len(key) > maxKey || !utf8.ValidString(key) {
		w[name] = "must be an object key of at most 1024 bytes of UTF-8"
	}
}

func (r *projectRecord) check(w fieldErrors) {
	w.id("id", r.ID, true)
	w.text("name", r.Name)
}

func (r *backupRecord) check(w fieldErrors) {
	w.id("id", r.ID, true)
	w.id("storageId", r.StorageID, true)
	w.id("projectId", r.ProjectID, false)
	w.text("status", r.Status)
	w.key("storagePath", r.StoragePath)
	if r.StoragePath == "" && len(r.Files) == 0 && finished(r.Status) {
		w["storagePath"] = "is required, or files, when the status is " + r.Status + ": a record without a location protects nothing"
	}
	if r.CreatedAt == noTime {
		w["createdAt"] = "must be a time such as 2024-01-15T10:00:00Z"
	}
	if r.Size < 0 {
		w["size"] = "must not be negative"
	}
	for _, f := range r.Files {
		w.key("files", f)
		if f == "" {
			w["files"] = "must not contain an empty key"
		}
	}
}

// finished reports whether a backup with this status has files, so that its record must say
// where. One in progress may be recorded before its location is known.
func finished(status string) bool {
	switch strings.ToLower(strings.TrimSpace(status)) {
	case "completed", "complete", "succeeded", "successful", "success", "done", "finished":
		return true
	}
	return false
}

func (r *scheduleRecord) check(w fieldErrors) {
	w.id("id", r.ID, true)
	w.id("storageId", r.StorageID, true)
	w.id("projectId", r.ProjectID, false)
	w.text("name", r.Name)
	w.text("cronExpression", r.CronExpression)
}

func (r *pitrRecord) check(w fieldErrors) {
	w.id("id", r.ID, true)
	w.id("storageId", r.StorageID, true)
	w.id("projectId", r.ProjectID, false)
	w.text("status", r.Status)
	w.key("prefix", r.Prefix)
	if r.Prefix == "" {
		w["prefix"] = "is required: an empty prefix would link every file of the bucket"
	}
}

func (r *projectRecord) message(org string) *pb.Record {
	return &pb.Record{Kind: &pb.Record_Project{Project: &pb.Project{Org: org, Id: r.ID, Name: r.Name}}}
}

func (r *backupRecord) message(org string) *pb.Record {
	b := &pb.Backup{
		Org: org, Id: r.ID, StorageId: r.StorageID, ProjectId: r.ProjectID, Status: r.Status, Size: r.Size,
		Collections: r.Collections, CreatedAt: int64(r.CreatedAt), StoragePath: []byte(r.StoragePath),
	}
	for _, f := range r.Files {
		b.Files = append(b.Files, []byte(f))
	}
	return &pb.Record{Kind: &pb.Record_Backup{Backup: b}}
}

func (r *scheduleRecord) message(org string) *pb.Record {
	return &pb.Record{Kind: &pb.Record_Schedule{Schedule: &pb.Schedule{
		Org: org, Id: r.ID, StorageId: r.StorageID, ProjectId: r.ProjectID, Name: r.Name, Enabled: r.Enabled, CronExpression: r.CronExpression,
	}}}
}

func (r *pitrRecord) message(org string) *pb.Record {
	return &pb.Record{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{
		Org: org, Id: r.ID, StorageId: r.StorageID, ProjectId: r.ProjectID, Enabled: r.Enabled, Status: r.Status, Prefix: []byte(r.Prefix),
	}}}
}
