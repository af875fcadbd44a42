package api

import (
	"errors"

	"firescan/catalog"
)

// projectName returns the name of a project, empty for an unknown one.
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
