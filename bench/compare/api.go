package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"firescan/bench/bucketserver"
)

// api calls a node's Storage API.
type api struct{ base, token, org string }

// call sends body, when not nil, as JSON and decodes the answer's data.
func (a *api) call(ctx context.Context, method, path string, body, data any) error {
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(b)
	}
	return a.send(ctx, method, path, "application/json", reader, data)
}

// stream sends a body of any size.
func (a *api) stream(ctx context.Context, path, contentType string, body io.Reader, data any) error {
	return a.send(ctx, http.MethodPost, path, contentType, body, data)
}

func (a *api) send(ctx context.Context, method, path, contentType string, body io.Reader, data any) error {
	resp, err := a.request(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer := struct {
		Success bool
		Data    any
		Error   struct{ Code, Message string }
	}{Data: data}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s %s: status %s: %w", method, path, resp.Status, err)
	}
	if !answer.Success || resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: status %s: %s: %s", method, path, resp.Status, answer.Error.Code, answer.Error.Message)
	}
	return nil
}

func (a *api) request(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("X-Organization-Id", a.org)
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	return http.DefaultClient.Do(req)
}

// getJSON gets a URL and decodes what it answers, when into is not nil.
func getJSON(ctx context.Context, url string, header http.Header, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %s", url, resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

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
			return fmt.Errorf("wrong answer: sync %s tells %s = %d, right is %d", s.ID, c.what, c.got, c.want)
		}
	}
	return nil
}

// checkStats holds GET …/files/stats against the right answer.
func (n *node) checkStats(ctx context.Context, dest string, want *bucketserver.Expected) error {
	type counts struct{ Count, Size flexible }
	var got struct {
		TotalFiles, TotalSize, LinkedFiles, LinkedSize, OrphanFiles, OrphanSize flexible
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
			return fmt.Errorf("wrong answer: stats tell %s = %d, right is %d", what, v[0], v[1])
		}
	}
	return nil
}

// checkFiles reads all files back in one stream and compares their digest. It answers that
// of the orphans, of which only the number is known beforehand.
func (n *node) checkFiles(ctx context.Context, dest string, want *bucketserver.Expected) (orphans bucketserver.Digest, err error) {
	resp, err := n.owner.request(ctx, http.MethodGet, "/api/v1/storage/destinations/"+dest+"/files", "", nil)
	if err != nil {
		return orphans, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return orphans, fmt.Errorf("read the files back: status %s", resp.Status)
	}
	d := json.NewDecoder(resp.Body)
	if err := toArray(d, "data", "files"); err != nil {
		return orphans, fmt.Errorf("read the files back: %w", err)
	}
	var got bucketserver.Digest
	for d.More() {
		var f struct {
			Path         string
			Size         flexible
			LastModified time.Time
			IsOrphan     bool
		}
		if err := d.Decode(&f); err != nil {
			return orphans, fmt.Errorf("read the files back: %w", err)
		}
		got.Add([]byte(f.Path), int64(f.Size), f.LastModified.Unix(), nil)
		if f.IsOrphan {
			orphans.Add([]byte(f.Path), int64(f.Size), f.LastModified.Unix(), nil)
		}
	}
	got.TagSum = want.Digest.TagSum // files tell no ETag
	if got != want.Digest || orphans.Files != want.OrphanTotal().Files {
		return orphans, fmt.Errorf("wrong answer: the files read back are %+v with %d orphans, right is %+v with %d", got, orphans.Files, want.Digest, want.OrphanTotal().Files)
	}
	return orphans, nil
}

// toArray reads on to the first element of the array at a path of object names.
func toArray(d *json.Decoder, path ...string) error {
	for _, name := range path {
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			return fmt.Errorf("no object that has %q: %v, %w", name, t, err)
		}
		for {
			t, err := d.Token()
			if err != nil {
				return err
			}
			if t == name {
				break
			}
			if t == json.Delim('}') {
				return fmt.Errorf("no %q in the answer", name)
			}
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return err
			}
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("%v where an array should begin: %w", t, err)
	}
	return nil
}
