package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"firescan/bench/bucketserver"
)

func checkSync(s syncState, want *bucketserver.Expected) error {
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"filesScanned", uint64(s.FilesScanned), want.Digest.Files},
		{"orphanFiles", uint64(s.OrphanFiles), want.OrphanTotal().Files},
		{"missingBackups", uint64(s.MissingBackups), want.Missing},
	} {
		if c.got != c.want {
			return fmt.Errorf("wrong result: sync %s: %s is %d, want %d", s.ID, c.what, c.got, c.want)
		}
	}
	return nil
}

// checkStats compares GET …/files/stats with the expected result.
func (n *node) checkStats(ctx context.Context, dest string, want *bucketserver.Expected) error {
	type counts struct{ Count, Size number }
	var got struct {
		TotalFiles, TotalSize, LinkedFiles, LinkedSize, OrphanFiles, OrphanSize number
		ByType                                                                  map[string]counts
	}
	if err := n.owner.call(ctx, http.MethodGet, "/api/v1/storage/destinations/"+dest+"/files/stats", nil, &got); err != nil {
		return err
	}
	orphans := want.OrphanTotal()
	checks := map[string][2]uint64{
		"totalFiles":  {uint64(got.TotalFiles), want.Digest.Files},
		"totalSize":   {uint64(got.TotalSize), want.Digest.Bytes},
		"linkedFiles": {uint64(got.LinkedFiles), want.Digest.Files - orphans.Files},
		"linkedSize":  {uint64(got.LinkedSize), want.Digest.Bytes - orphans.Bytes},
		"orphanFiles": {uint64(got.OrphanFiles), orphans.Files},
		"orphanSize":  {uint64(got.OrphanSize), orphans.Bytes},
	}
	for _, t := range bucketserver.Types() {
		c := got.ByType[t.String()]
		checks[t.String()+" count"] = [2]uint64{uint64(c.Count), want.Linked[t].Files + want.Orphans[t].Files}
		checks[t.String()+" size"] = [2]uint64{uint64(c.Size), want.Linked[t].Bytes + want.Orphans[t].Bytes}
	}
	for what, v := range checks {
		if v[0] != v[1] {
			return fmt.Errorf("wrong result: file stats: %s is %d, want %d", what, v[0], v[1])
		}
	}
	return nil
}

// checkFiles reads all files in one stream and compares their digest. It returns the
// digest of the orphans, for which only the number is expected.
func (n *node) checkFiles(ctx context.Context, dest string, want *bucketserver.Expected) (orphans bucketserver.Digest, err error) {
	resp, err := n.owner.request(ctx, http.MethodGet, "/api/v1/storage/destinations/"+dest+"/files", "", nil)
	if err != nil {
		return orphans, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return orphans, fmt.Errorf("read files: status %s", resp.Status)
	}
	d := json.NewDecoder(resp.Body)
	if err := toArray(d, "data", "files"); err != nil {
		return orphans, fmt.Errorf("read files: %w", err)
	}
	var got bucketserver.Digest
	for d.More() {
		var f struct {
			Path         string
			Size         number
			LastModified time.Time
			IsOrphan     bool
		}
		if err := d.Decode(&f); err != nil {
			return orphans, fmt.Errorf("read files: %w", err)
		}
		got.Add([]byte(f.Path), int64(f.Size), f.LastModified.Unix(), nil)
		if f.IsOrphan {
			orphans.Add([]byte(f.Path), int64(f.Size), f.LastModified.Unix(), nil)
		}
	}
	got.TagSum = want.Digest.TagSum // the API does not return ETags
	if got != want.Digest || orphans.Files != want.OrphanTotal().Files {
		return orphans, fmt.Errorf("wrong result: files: got %+v with %d orphans, want %+v with %d", got, orphans.Files, want.Digest, want.OrphanTotal().Files)
	}
	return orphans, nil
}

// checkScan compares all results of a scan with the expected result and returns the
// digest of the orphans.
func checkScan(ctx context.Context, n *node, bk *bucket, dest string, s syncState) (orphans bucketserver.Digest, err error) {
	if err := checkSync(s, bk.want); err != nil {
		return orphans, err
	}
	if err := n.checkStats(ctx, dest, bk.want); err != nil {
		return orphans, err
	}
	return n.checkFiles(ctx, dest, bk.want)
}
