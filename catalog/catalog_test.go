package catalog

import (
	"log/slog"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openTest opens a fresh catalog that is closed with the test.
func openTest(tb testing.TB) *Catalog {
	tb.Helper()
	c, _ := openTestAt(tb, filepath.Join(tb.TempDir(), "catalog.db"))
	return c
}

func openTestAt(tb testing.TB, path string) (*Catalog, string) {
	tb.Helper()
	c, err := Open(path, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c, path
}

func testDestination(org, id string) *pb.Destination {
	return &pb.Destination{Org: org, Id: id, Name: "Production", Type: TypeS3, Bucket: "bucket"}
}

// apply applies one command at the next index and gives its result.
func apply(tb testing.TB, c *Catalog, m proto.Message) *pb.Result {
	tb.Helper()
	results, err := c.Apply([]Entry{{Index: c.AppliedIndex() + 1, Term: 1, Data: mustEncode(tb, m)}})
	if err != nil {
		tb.Fatal(err)
	}
	return results[0]
}
