package api

import (
	"errors"

	"firescan/catalog"
)

// projectName is empty for a project that the catalog does not know.
func projectName(tx *catalog.Tx, org, id string) (string, error) {
	p, err := tx.Project(org, id)
	if errors.Is(err, catalog.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return p.Name, nil
}
