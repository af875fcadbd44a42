package api

import (
	"context"

	pb "firescan/catalog/catalogpb"
)

// fakeDeletes answers what a test says, and keeps what it was asked last.
type fakeDeletes struct {
	destination string
	who         string
	paths       []string
	ids         []string
	files       bool
	cleanup     Cleanup
	calls       int

	outcomes []FileOutcome
	backups  BackupOutcomes
	plan     CleanupPlan
	done     CleanedUp
	err      error
}

var _ Deletes = (*fakeDeletes)(nil)

func (f *fakeDeletes) DeleteFiles(_ context.Context, d *pb.Destination, who string, paths [][]byte) ([]FileOutcome, error) {
	f.calls++
	f.destination, f.who, f.paths = d.Id, who, nil
	for _, p := range paths {
		f.paths = append(f.paths, string(p))
	}
	if f.outcomes == nil {
		return make([]FileOutcome, len(paths)), f.err
	}
	return f.outcomes, f.err
}

func (f *fakeDeletes) DeleteBackups(_ context.Context, d *pb.Destination, who string, ids []string, files bool) (BackupOutcomes, error) {
	f.calls++
	f.destination, f.who, f.ids, f.files = d.Id, who, ids, files
	return f.backups, f.err
}

func (f *fakeDeletes) PlanCleanup(_ context.Context, d *pb.Destination, c Cleanup) (CleanupPlan, error) {
	f.destination, f.cleanup = d.Id, c
	return f.plan, f.err
}

func (f *fakeDeletes) Cleanup(_ context.Context, d *pb.Destination, who string, c Cleanup) (CleanedUp, error) {
	f.calls++
	f.destination, f.who, f.cleanup = d.Id, who, c
	return f.done, f.err
}
