package index

import (
	"fmt"
	"strings"
)

// The suffixes of files in the directory of a destination.
const (
	sealedSuffix = ".seg"
	openSuffix   = ".tmp"
	badSuffix    = ".bad"
)

// partSuffix is the suffix of incomplete copies from other nodes: <segment>.<tag>.part.
const partSuffix = ".part"

// partName splits the name of an incomplete copy.
func partName(file string) (id, tag string, ok bool) {
	name, ok := strings.CutSuffix(file, partSuffix)
	at := strings.LastIndexByte(name, '.')
	if !ok || at < 0 {
		return "", "", false
	}
	return name[:at], name[at+1:], true
}

// checkName refuses ids that are not plain file names.
func checkName(names ...string) error {
	for _, n := range names {
		if n == "" || len(n) > 128 || n[0] == '.' || strings.ContainsAny(n, "/\\\x00") {
			return fmt.Errorf("%w: %q is not a valid name of a destination or segment", ErrInvalid, n)
		}
	}
	return nil
}
