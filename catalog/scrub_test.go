package catalog

import "testing"

// verify compares the whole catalog with its records.
func verify(tb testing.TB, c *Catalog) error {
	tb.Helper()
	return c.Verify(tb.Context(), -1)
}
