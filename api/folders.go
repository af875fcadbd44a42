package api

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"firescan/provider"
)

// maxFolderDepth and maxFolders bound a list of folders: it is for a person who chooses
// one.
const (
	maxFolderDepth = 16
	maxFolders     = 10_000
)

// listFolders answers the folders of a bucket, at all levels.
func (h *accounts) listFolders(c *call) error {
	a, err := h.attempt(c, withBucket)
	if err != nil {
		return err
	}
	found, err := provider.Folders(c.context(), a.account.Bucket(a.bucket), provider.FolderLimits{Depth: maxFolderDepth, Count: maxFolders})
	if err != nil {
		return a.failed(err)
	}
	return c.answer(envelope{
		Data: struct {
			Folders []string `json:"folders"`
		}{append([]string{}, found.Folders...)},
		Meta: struct {
			// Depth and Limit are the bounds, Truncated whether one of them left folders out.
			Depth     int  `json:"depth"`
			Limit     int  `json:"limit"`
			Truncated bool `json:"truncated"`
		}{maxFolderDepth, maxFolders, found.Truncated},
	})
}

// createFolder makes a folder: an empty object whose name ends in a slash, which is
// what consoles show as one. A folder that is there, since something lies in it, is left as it is.
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
		return c.answer(envelope{Data: data, Message: "The folder exists already"})
	}
	if err := bucket.Put(c.context(), folder, nil); err != nil {
		return a.failed(err)
	}
	data.Created = true
	return c.answerStatus(http.StatusCreated, envelope{Data: data, Message: "Folder created successfully"})
}

// checkFolder says what is wrong with the name of a folder. Names that a console, a file
// system or an address would take for another one are refused, also where they are so
// only behind percent signs.
func checkFolder(name string) string {
	name = strings.Trim(name, "/")
	switch {
	case name == "":
		return "is required"
	case len(name) >= maxKey:
		return "must have at most 1023 bytes"
	case !utf8.ValidString(name):
		return "is no valid UTF-8"
	}
	if plain, err := url.PathUnescape(name); err == nil && plain != name {
		if problem := checkSegments(plain); problem != "" {
			return problem + ", also not escaped with '%'"
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
			return "must not have blanks at the ends of a segment, where nobody sees them"
		}
	}
	return ""
}
