// Package environ has the environment of firescan processes in tests.
package environ

import (
	"os"
	"slices"
	"strings"
)

// Clean returns the environment of the test without variables of firescan, and with more. The
// program refuses variables that only tests know, such as FIRESCAN_LONG.
func Clean(more ...string) []string {
	ours := func(v string) bool { return strings.HasPrefix(v, "FIRESCAN_") }
	return append(slices.DeleteFunc(os.Environ(), ours), more...)
}
