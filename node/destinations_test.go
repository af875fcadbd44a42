package node

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
)

// TestDestinationMetrics: what a dashboard shows of a destination is what the catalog
// says, before the first sync, after one, and after one that failed.
func TestDestinationMetrics(t *testing.T) {
	log := catalogtest.New(t, catalog.Options{}, "n1")
	c := log.Node("n1").Catalog
	apply := func(m proto.Message) { t.Helper(); log.Must(m) }
	metrics := newDestinations(c, func() int { return 5 }, slog.New(slog.DiscardHandler))
	check := func(want string, names ...string) {
		t.Helper()
		for i, name := range names {
			names[i] = "firescan_destination_" + name
		}
		if err := testutil.CollectAndCompare(metrics, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
	}
	apply(&pb.PutDestination{Create: true, Destination: &pb.Destination{Org: "acme", Id: "storage_1", Name: "n", Type: catalog.TypeS3, Bucket: "b", CreatedAt: 1, UpdatedAt: 1}})
	check(`
		# HELP firescan_destination_synced_timestamp_seconds When the last completed sync began, in Unix time; 0 before the first.
		# TYPE firescan_destination_synced_timestamp_seconds gauge
		firescan_destination_synced_timestamp_seconds{destination="storage_1",organization="acme"} 0
	`, "synced_timestamp_seconds")

	apply(&pb.StartSync{Org: "acme", DestinationId: "storage_1", SyncId: "sync_1", At: 5000})
	apply(&pb.SealSegments{SyncId: "sync_1", Segments: []*pb.Segment{{Id: "seg_1", Files: 10, Bytes: 100, Orphans: 3, Missing: 2, ClassifiedAt: c.AppliedIndex(), Node: "n1"}}})
	apply(&pb.PromoteSync{SyncId: "sync_1", At: 6000})
	apply(&pb.SetHolder{Node: "n1", DestinationId: "storage_1", Generation: "sync_1", Whole: true})
	apply(&pb.SetHolder{Node: "n2", DestinationId: "storage_1", Generation: "sync_1", Whole: true})
	apply(&pb.StartSync{Org: "acme", DestinationId: "storage_1", SyncId: "sync_2", At: 7000})
	apply(&pb.FinishSync{SyncId: "sync_2", Status: catalog.SyncFailed, Error: "x", At: 8000})
	check(`
		# HELP firescan_destination_missing_backups Backup records with a file that the last completed sync did not find.
		# TYPE firescan_destination_missing_backups gauge
		firescan_destination_missing_backups{destination="storage_1",organization="acme"} 2
		# HELP firescan_destination_orphan_files Orphaned files of the last completed sync.
		# TYPE firescan_destination_orphan_files gauge
		firescan_destination_orphan_files{destination="storage_1",organization="acme"} 3
		# HELP firescan_destination_replicas Nodes that hold the whole index of the last completed sync.
		# TYPE firescan_destination_replicas gauge
		firescan_destination_replicas{destination="storage_1",organization="acme"} 2
		# HELP firescan_destination_replicas_wanted Nodes that should hold the index of the last completed sync; 0 before the first.
		# TYPE firescan_destination_replicas_wanted gauge
		firescan_destination_replicas_wanted{destination="storage_1",organization="acme"} 3
		# HELP firescan_destination_sync_failed 1 when the newest sync failed.
		# TYPE firescan_destination_sync_failed gauge
		firescan_destination_sync_failed{destination="storage_1",organization="acme"} 1
		# HELP firescan_destination_synced_timestamp_seconds When the last completed sync began, in Unix time; 0 before the first.
		# TYPE firescan_destination_synced_timestamp_seconds gauge
		firescan_destination_synced_timestamp_seconds{destination="storage_1",organization="acme"} 5
	`, "missing_backups", "orphan_files", "replicas", "replicas_wanted", "sync_failed", "synced_timestamp_seconds")
}
