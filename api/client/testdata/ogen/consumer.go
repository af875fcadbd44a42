package consumer

import (
	"context"
	"fmt"
)

// token is the source of the bearer token.
type token string

func (t token) Bearer(context.Context, OperationName) (Bearer, error) {
	return Bearer{Token: string(t)}, nil
}

// Orphans returns the paths of the first orphans of a destination.
func Orphans(ctx context.Context, address, organization, bearer, destination string) ([]string, error) {
	c, err := NewClient(address, token(bearer))
	if err != nil {
		return nil, err
	}
	res, err := c.ListFiles(ctx, ListFilesParams{XOrganizationID: organization, ID: destination, OrphansOnly: NewOptBool(true)})
	if err != nil {
		return nil, err
	}
	switch r := res.(type) {
	case *FilesReply:
		var paths []string
		for _, f := range r.Data.Files {
			paths = append(paths, f.Path)
		}
		return paths, nil
	case *ListFilesServiceUnavailable:
		return nil, fmt.Errorf("%s: %s", r.Error.Code, r.Error.Message)
	}
	return nil, fmt.Errorf("unexpected response %T", res)
}
