package mem_test

import (
	"os"
	"testing"

	"firescan/provider"
	"firescan/provider/mem"
	"firescan/provider/providertest"
)

// TestRenamings: the fakes name objects as real servers were recorded to do it
// (TestRealServerNames in package s3).
func TestRenamings(t *testing.T) {
	for _, r := range mem.Renamings() {
		t.Run(r.Server, func(t *testing.T) {
			text, err := providertest.DescribeNames(t.Context(), mem.New(mem.Options{Renaming: r}, "names").Bucket("names"))
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile("testdata/names." + r.Server + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			if got := "# " + r.Server + " " + r.Version + "\n" + text; got != string(want) {
				t.Errorf("the fake does otherwise than the server: %s", got)
			}
		})
	}
}

// TestProbedRenamings: the probe finds out how the servers name keys.
func TestProbedRenamings(t *testing.T) {
	const unknown, exact, folded, either = provider.KeyUnknown, provider.KeyExact, provider.KeyFolded, provider.KeyEither
	want := map[string]provider.KeyMapping{
		"":            {LeadingSlash: exact, DoubleSlash: exact, DotSegment: exact, Backslash: exact, Composed: exact, Decomposed: exact},
		"minio":       {LeadingSlash: folded, DoubleSlash: unknown, DotSegment: unknown, Backslash: exact, Composed: exact, Decomposed: exact},
		"seaweedfs":   {LeadingSlash: folded, DoubleSlash: either, DotSegment: unknown, Backslash: folded, Composed: exact, Decomposed: exact},
		"rclone":      {LeadingSlash: unknown, DoubleSlash: unknown, DotSegment: unknown, Backslash: exact, Composed: either, Decomposed: either},
		"rclone-1.73": {LeadingSlash: folded, DoubleSlash: folded, DotSegment: folded, Backslash: exact, Composed: either, Decomposed: either},
	}
	for _, r := range append(mem.Renamings(), mem.Renaming{}) {
		b := mem.New(mem.Options{Renaming: r}, "names").Bucket("names")
		if got := provider.ProbeKeys(t.Context(), b, ""); got != want[r.Server] {
			t.Errorf("%q: %+v, want %+v", r.Server, got, want[r.Server])
		}
	}
}
