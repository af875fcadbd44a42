package gcs

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const unreadable = "the file of keyFilename cannot be read: it must be a readable file of at most 16 KiB directly in the node's --gcs-key-dir"

// readKeyFile reads a key from the directory that the node's operator chose for keys.
// The name comes from users. It is that of a file in the directory and no path; links
// that lead out of the directory, and anything but a plain file, are refused.
func readKeyFile(dir, name string) ([]byte, error) {
	if dir == "" {
		return nil, unfit("keyFilename cannot be used: the node was started without --gcs-key-dir")
	}
	if name == "." || strings.ContainsAny(name, "/\\\x00") || !filepath.IsLocal(name) {
		return nil, unfit("keyFilename must be the plain name of a file in the node's --gcs-key-dir")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, unfit("the node's --gcs-key-dir cannot be opened")
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
