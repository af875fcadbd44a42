package api

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"firescan/provider"
)

// maxFolderDepth and maxFolders bound a list of folders, from which a person chooses
// one.
const (
	maxFolderDepth = 16
	maxFolders     = 10_000
)

// listFolders returns the folders of a bucket, at all levels.
func (h *accounts) listFolders(c *call) error {
	a, err := h.attempt(c, withBucket)
	if err != nil {
		return err
	}
	found, err := provider.Folders(c.context(), a.account.Bucket(a.bucket), provider.FolderLimits{Depth: maxFolderDepth, Count: maxFolders})
	if err != nil {
		return a.failed(err)
	}
	return c.respond(envelope{
		Data: struct {
			Folders []string `json:"folders"`
		}{append([]string{}, found.Folders...)},
		Meta: struct {
			// Depth and Limit are the bounds. Truncated is true when one of them was
			// reached.
			Depth     int  `json:"depth"`
			Limit     int  `json:"limit"`
			Truncated bool `json:"truncated"`
		}{maxFolderDepth, maxFolders, found.Truncated},
	})
}

// createFolder creates a folder: an empty object whose name ends in a slash, as
// consoles show it. A folder that contains something exists already and is not changed.
func (h *accounts) createFolder(c *call) error {
	a, err := h.attempt(c, withFolder)
	if err != nil {
		return err
	}
	folder := strings.Trim(a.folder, "/") + "/"
	bucket := a.account.Bucket(a.bucket)
	data := struct {
		Folder  string `json:"folder"`
		Created bool   `json:"created"`
	}{folder, false}
	var page provider.Page
	if err := bucket.List(c.context(), provider.ListRequest{Prefix: folder, MaxKeys: 1}, &page); err != nil {
		return a.failed(err)
	}
	if len(page.Objects)+page.Skipped > 0 || page.More {
		return c.respond(envelope{Data: data, Message: "The folder already exists"})
	}
	if err := bucket.Put(c.context(), folder, nil); err != nil {
		return a.failed(err)
	}
	data.Created = true
	return c.respondStatus(http.StatusCreated, envelope{Data: data, Message: "Folder created successfully"})
}

// checkFolder returns the problem of a folder name. It refuses names that a console, a
// file system or a URL would change, even when percent-encoded.
func checkFolder(name string) string {
	name = strings.Trim(name, "/")
	switch {
	case name == "":
		return "is required"
	case len(name) >= maxKey:
		return "must have at most 1023 bytes"
	case !utf8.ValidString(name):
		return "must be valid UTF-8"
	}
	if plain, err := url.PathUnescape(name); err == nil && plain != name {
		if problem := checkSegments(plain); problem != "" {
			return problem + ", even percent-encoded"
		}
	}
	return checkSegments(name)
}

func checkSegments(name string) string {
	if strings.ContainsRune(name, '\\') || !printable(name) {
		return "must be printable UTF-8 without backslashes"
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "must not have empty segments, '.' or '..'"
		}
		if strings.TrimSpace(segment) != segment {
			return "must not have spaces at the start or end of a segment"
		}
	}
	return ""
}
