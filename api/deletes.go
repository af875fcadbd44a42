package api

import (
	"bytes"
	"context"
	"fmt"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// Deletes deletes what no backup record needs, and backups. Errors of single files and
// backups are as toError takes them.
type Deletes interface {
	// DeleteFiles deletes orphans, and answers an outcome for each path in order; the error
	// says why nothing was begun. What was begun goes to its end also when ctx ends.
	DeleteFiles(ctx context.Context, d *pb.Destination, who string, paths [][]byte) ([]FileOutcome, error)
	// DeleteBackups deletes records and, if asked, their files first.
	DeleteBackups(ctx context.Context, d *pb.Destination, who string, ids []string, files bool) (BackupOutcomes, error)
	// PlanCleanup tells what Cleanup would delete.
	PlanCleanup(ctx context.Context, d *pb.Destination, c Cleanup) (CleanupPlan, error)
	// Cleanup deletes all orphans of the types and the age that it is told. A plan that is too
	// large, or another one than was confirmed, is refused with an *Error.
	Cleanup(ctx context.Context, d *pb.Destination, who string, c Cleanup) (CleanedUp, error)
}

// FileOutcome is what became of one file. Err is nil when it is not there any more.
type FileOutcome struct {
	Path []byte
	Size int64
	Err  error
}

// BackupOutcomes is what became of backups, in the order of the request, and how many
// files were deleted.
type BackupOutcomes struct {
	Backups []BackupOutcome
	Files   int
}

// BackupOutcome is what became of one backup. A backup that was deleted has an Err as well
// when another one needs a file of it, which stays.
type BackupOutcome struct {
	ID                    string
	Deleted, FilesDeleted bool
	Err                   error
}

// Cleanup says which orphans are deleted.
type Cleanup struct {
	Types []index.Type
	// Before is when they were modified the latest, in Unix milliseconds.
	Before int64
	// Confirm, when not empty, must be the hash of the plan.
	Confirm string
}

// CleanupPlan is what a cleanup would delete: so many orphans of so many bytes, among
// that many files, and the first of them. One that is too large must be confirmed.
type CleanupPlan struct {
	Hash                  string
	Orphans, Bytes, Files uint64
	TooLarge              bool
	First                 []index.Entry
}

// CleanedUp is what a cleanup did. Errors has the first of the files that failed. Stopped
// is why it ended early, nil when it did not.
type CleanedUp struct {
	Deleted, Bytes, Failed uint64
	Errors                 []FileOutcome
	Stopped                error
}

// maxDeletePaths is how many files one request may delete.
const maxDeletePaths = 10_000

// failure is why one of many failed.
type failure struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// failed tells a client why one of many failed, and the log as well where it is our fault.
func (c *call) failed(err error) *failure {
	if err == nil {
		return nil
	}
	e := toError(err)
	if e.Code == CodeInternal {
		c.log.Error("a part of a request failed", "error", e)
	}
	return &failure{e.Code, e.Message}
}

// deleteFile deletes one orphan.
func (s *Server) deleteFile(c *call) error {
	var in struct {
		Path *string `json:"path"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Path == nil {
		return invalidField("path", "is required")
	}
	wrong := fieldErrors{}
	wrong.objectKey("path", *in.Path)
	if len(wrong) > 0 {
		return invalid(wrong)
	}
	d, err := c.readDestination()
	if err != nil {
		return err
	}
	path := []byte(*in.Path)
	if start, end := catalog.KeySpace(d); bytes.Compare(path, start) < 0 || end != nil && bytes.Compare(path, end) >= 0 {
		return invalidField("path", "must lie under the path of the storage destination")
	}
	outcomes, err := s.Deletes.DeleteFiles(c.context(), d, c.token.Id, [][]byte{path})
	if err != nil {
		return err
	}
	if err := outcomes[0].Err; err != nil {
		return err
	}
	return c.answer(envelope{Message: "File deleted successfully", Data: struct {
		Deleted bool   `json:"deleted"`
		Path    string `json:"path"`
	}{true, *in.Path}})
}

// objectKey checks the key of a file that is to be deleted.
func (w fieldErrors) objectKey(name, key string) {
	if key == "" {
		w[name] = "must not be empty"
		return
	}
	w.key(name, key)
}

// deleteFiles deletes many orphans.
func (s *Server) deleteFiles(c *call) error {
	var in struct {
		Paths []string `json:"paths"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if n := len(in.Paths); n == 0 || n > maxDeletePaths {
		return invalidField("paths", fmt.Sprintf("must have 1 to %d paths", maxDeletePaths))
	}
	wrong := fieldErrors{}
	paths := make([][]byte, len(in.Paths))
	for i, path := range in.Paths {
		wrong.objectKey(fmt.Sprintf("paths[%d]", i), path)
		paths[i] = []byte(path)
	}
	if len(wrong) > 0 {
		return invalid(wrong)
	}
	d, err := c.readDestination()
	if err != nil {
		return err
	}
	outcomes, err := s.Deletes.DeleteFiles(c.context(), d, c.token.Id, paths)
	if err != nil {
		return err
	}
	type result struct {
		Path    string   `json:"path"`
		Deleted bool     `json:"deleted"`
		Error   *failure `json:"error,omitempty"`
	}
	var data struct {
		Deleted int      `json:"deletedCount"`
		Failed  int      `json:"failedCount"`
		Results []result `json:"results"`
	}
	for i, o := range outcomes {
		if o.Err == nil {
			data.Deleted++
		} else {
			data.Failed++
		}
		data.Results = append(data.Results, result{in.Paths[i], o.Err == nil, c.failed(o.Err)})
	}
	return c.answer(envelope{Message: fmt.Sprintf("Deleted %d of %d files", data.Deleted, len(paths)), Data: data})
}
