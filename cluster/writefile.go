package cluster

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// writeFile replaces a file durably and atomically.
func writeFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := renameio.WriteFile(path, data, 0o600, renameio.WithTempDir(dir)); err != nil {
		return err
	}
	// renameio does not sync the directory.
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
