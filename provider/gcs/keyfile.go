package gcs

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const unreadable = "the file of keyFilename cannot be read: it must be a readable file of at most 16 KiB in the organization's directory of the node's --gcs-key-dir"

// readKeyFile reads a key from the directory of an organization in the one that the node's
// operator chose for keys. The name comes from users: it is that of a file directly in the
// directory, or its whole path. Links that lead out of the directory, and anything but a
// plain file, are refused.
func readKeyFile(dir, owner, name string) ([]byte, error) {
	if dir == "" {
		return nil, unfit("keyFilename cannot be used: the node was started without --gcs-key-dir")
	}
	if absolute, err := filepath.Abs(dir); err == nil && filepath.Dir(name) == filepath.Join(absolute, owner) {
		name = strings.TrimPrefix(name, filepath.Dir(name)+"/")
	}
	if !plain(name) || !plain(owner) {
		return nil, unfit("keyFilename must be a file in the organization's directory of the node's --gcs-key-dir: its plain name or its whole path")
	}
	all, err := os.OpenRoot(dir)
	if err != nil {
		return nil, unfit("the node's --gcs-key-dir cannot be opened")
	}
	defer all.Close()
	root, err := all.OpenRoot(owner)
	if err != nil {
		return nil, unfit("the node's --gcs-key-dir has no directory of the organization: its name is the organization's id")
	}
	defer root.Close()
	// A pipe would let the opening wait for a writer.
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, unfit(unreadable)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxKeyJSON {
		return nil, unfit(unreadable)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeyJSON+1))
	if err != nil {
		return nil, unfit(unreadable)
	}
	return text, nil
}

// plain reports whether a name is that of a file or directory, and no path.
func plain(name string) bool {
	return name != "." && !strings.ContainsAny(name, "/\\\x00") && filepath.IsLocal(name)
}
