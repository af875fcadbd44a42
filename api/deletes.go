package api

import (
	"fmt"
	"slices"

	"firescan/catalog"
	"firescan/deletion"
	"firescan/keyspace"
)

// maxDeletePaths is the maximum number of files in one request.
const maxDeletePaths = 10_000

// deleteOne deletes one orphan.
func (h *files) deleteOne(c *call) error {
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
	if !keyspace.NewRange(catalog.KeySpace(d)).Contains(*in.Path) {
		return invalidField("path", "must lie under the path of the storage destination")
	}
	outcomes, err := h.deleter.DeleteFiles(c.context(), deletion.FilesRequest{Destination: d, Who: c.token.Id, Paths: [][]byte{path}})
	if err != nil {
		return err
	}
	if err := outcomes[0].Err; err != nil {
		return err
	}
	c.audited.did("deleted", 1)
	message, versioned := "File deleted successfully", 0
	if outcomes[0].Versioned {
		message, versioned = message+versionedNote(true), 1
	}
	return c.respond(envelope{Message: message, Data: struct {
		Deleted bool   `json:"deleted"`
		Path    string `json:"path"`
		effect
	}{true, *in.Path, effectOf(versioned, 0)}})
}

// objectKey checks the key of a file to delete.
func (w fieldErrors) objectKey(name, key string) {
	if key == "" {
		w[name] = "must not be empty"
		return
	}
	w.key(name, key)
}

// deleteMany deletes many orphans.
func (h *files) deleteMany(c *call) error {
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
	for i, path := range in.Paths {
		wrong.objectKey(fmt.Sprintf("paths[%d]", i), path)
	}
	if len(wrong) > 0 {
		return invalid(wrong)
	}
	in.Paths = unique(in.Paths)
	paths := make([][]byte, len(in.Paths))
	for i, path := range in.Paths {
		paths[i] = []byte(path)
	}
	d, err := c.readDestination()
	if err != nil {
		return err
	}
	outcomes, err := h.deleter.DeleteFiles(c.context(), deletion.FilesRequest{Destination: d, Who: c.token.Id, Paths: paths})
	if err != nil {
		return err
	}
	type result struct {
		Path      string   `json:"path"`
		Deleted   bool     `json:"deleted"`
		Versioned bool     `json:"versioned,omitempty"`
		Retained  bool     `json:"retained,omitempty"`
		Error     *failure `json:"error,omitempty"`
	}
	var data struct {
		Deleted int      `json:"deletedCount"`
		Failed  int      `json:"failedCount"`
		Results []result `json:"results"`
		effect
	}
	versioned, freed := 0, uint64(0)
	for i, o := range outcomes {
		if o.Err == nil {
			data.Deleted++
		} else {
			data.Failed++
		}
		freed += uint64(o.Freed())
		if o.Versioned {
			versioned++
		}
		data.Results = append(data.Results, result{in.Paths[i], o.Err == nil, o.Versioned, o.Retained(), c.failed(o.Err)})
	}
	c.audited.did("deleted", uint64(data.Deleted))
	c.audited.did("failed", uint64(data.Failed))
	message := fmt.Sprintf("Deleted %d of %d files", data.Deleted, len(paths))
	if data.effect = effectOf(versioned, freed); versioned > 0 {
		message += versionedNote(versioned == data.Deleted)
	}
	return c.respond(envelope{Message: message, Data: data})
}

// unique returns the names in their order, each once.
func unique(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(names, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
}

// effect is what deletions have freed, where the bucket keeps versions.
type effect struct {
	Versioned bool    `json:"versioned,omitempty"`
	Freed     *uint64 `json:"freedSpace,omitempty"`
}

func effectOf(versioned int, freed uint64) effect {
	if versioned == 0 {
		return effect{}
	}
	return effect{true, &freed}
}

// versionedNote continues a message about deletions of which versions are kept.
func versionedNote(all bool) string {
	if all {
		return ". No space was freed: the bucket keeps versions"
	}
	return ". The bucket keeps versions of some, which frees no space"
}
