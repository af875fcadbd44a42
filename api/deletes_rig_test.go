package api

import (
	"context"

	"firescan/deletion"
)

// fakeDeleter returns what a test sets, and keeps the last request of each kind.
type fakeDeleter struct {
	files   deletion.FilesRequest
	records deletion.BackupsRequest
	orphans deletion.CleanupRequest
	calls   int // that delete something

	outcomes []deletion.Outcome
	backups  deletion.BackupsResult
	plan     deletion.Plan
	done     deletion.CleanupResult
	err      error
}

var _ Deleter = (*fakeDeleter)(nil)

func (f *fakeDeleter) DeleteFiles(_ context.Context, r deletion.FilesRequest) ([]deletion.Outcome, error) {
	f.calls++
	f.files = r
	if f.outcomes == nil {
		return make([]deletion.Outcome, len(r.Paths)), f.err
	}
	return f.outcomes, f.err
}

func (f *fakeDeleter) DeleteBackups(_ context.Context, r deletion.BackupsRequest) (deletion.BackupsResult, error) {
	f.calls++
	f.records = r
	if f.backups.Outcomes == nil {
		result := f.backups
		for _, id := range r.IDs {
			result.Outcomes = append(result.Outcomes, deletion.BackupOutcome{ID: id, Deleted: true})
		}
		return result, f.err
	}
	return f.backups, f.err
}

func (f *fakeDeleter) Plan(_ context.Context, r deletion.CleanupRequest) (*deletion.Plan, error) {
	f.orphans = r
	return &f.plan, f.err
}

func (f *fakeDeleter) Cleanup(_ context.Context, r deletion.CleanupRequest) (*deletion.CleanupResult, error) {
	f.calls++
	f.orphans = r
	return &f.done, f.err
}
