package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
)

// TestOverlapsCountEachKeyOnce draws destinations on buckets, some of which are one bucket under
// several endpoints, and compares with the meaning key by key.
func TestOverlapsCountEachKeyOnce(t *testing.T) {
	c := openTest(t)
	endpoints := []string{"http://a:9000", "http://b:9000", "http://c:9000", "http://other:9000"}
	bucket := func(endpoint string) string {
		return BucketID(&pb.Destination{Type: TypeS3, Bucket: "b", Endpoint: endpoint})
	}
	// a, b and c are one bucket, by relations that form a chain; other is another one.
	for _, r := range []struct {
		one, two string
		same     bool
	}{{"http://c:9000", "http://b:9000", true}, {"http://a:9000", "http://c:9000", true}, {"http://other:9000", "http://a:9000", false}} {
		apply(t, c, &pb.SetBucketRelation{BucketId: bucket(r.one), OtherId: bucket(r.two), Same: r.same, At: 1})
	}
	server := func(d *pb.Destination) string {
		return strings.NewReplacer("//b:", "//a:", "//c:", "//a:").Replace(d.GetEndpoint())
	}
	has := func(d *pb.Destination, key string) bool {
		path := strings.Trim(d.GetPath(), "/")
		return path == "" || strings.HasPrefix(key, path+"/")
	}
	keys := []string{"k", "p/k", "p/q/k", "p/q/r/k", "pp/k", "p-/k"}
	rapid.Check(t, func(rt *rapid.T) {
		var all []*pb.Destination
		syncedAt := map[string]int64{}
		for i := range rapid.IntRange(0, 7).Draw(rt, "destinations") {
			d := &pb.Destination{
				Id: fmt.Sprint("d", i), Type: TypeS3, Bucket: "b", Endpoint: rapid.SampledFrom(endpoints).Draw(rt, "endpoint"),
				Path: rapid.SampledFrom([]string{"", "p", "/p/", "p/q", "p/q/r", "pp", "p-"}).Draw(rt, "path"),
			}
			all = append(all, d)
			if at := rapid.Int64Range(0, 3).Draw(rt, "synced"); at > 0 {
				syncedAt[d.Id] = at
			}
		}
		all = rapid.Permutation(all).Draw(rt, "order")
		var overlaps []Overlap
		if err := c.View(func(tx *Tx) error {
			overlaps = tx.Overlaps(all, syncedAt)
			return nil
		}); err != nil {
			rt.Fatal(err)
		}
		countedIn := map[string]string{}
		group := map[string]int{}
		for i, o := range overlaps {
			for _, id := range o.Destinations {
				group[id] = i + 1
			}
			for id, in := range o.CountedIn {
				countedIn[id] = in
			}
		}
		byID := map[string]*pb.Destination{}
		for _, d := range all {
			byID[d.Id] = d
			alone := !slices.ContainsFunc(all, func(o *pb.Destination) bool {
				return o != d && server(o) == server(d) && slices.ContainsFunc(keys, func(k string) bool { return has(o, k) && has(d, k) })
			})
			if alone != (group[d.Id] == 0) {
				rt.Fatalf("destination %v: alone %v, overlaps %v", d, alone, overlaps)
			}
		}
		for _, where := range []string{endpoints[0], endpoints[3]} {
			for _, key := range keys {
				var counts, holds []string
				for _, d := range all {
					if server(d) != where || !has(d, key) {
						continue
					}
					if syncedAt[d.Id] != 0 {
						holds = append(holds, d.Id)
						if countedIn[d.Id] == "" {
							counts = append(counts, d.Id)
						}
					}
					if in := countedIn[d.Id]; in != "" && (syncedAt[in] == 0 || countedIn[in] != "" || !has(byID[in], key)) {
						rt.Fatalf("%s is counted in %s, which does not count its key %q", d.Id, in, key)
					}
				}
				if want := min(len(holds), 1); len(counts) != want {
					rt.Fatalf("%q is indexed by %q and counted by %q", key, holds, counts)
				}
				if len(counts) == 1 {
					counted := byID[counts[0]]
					for _, id := range holds {
						same := strings.Trim(byID[id].Path, "/") == strings.Trim(counted.Path, "/")
						if len(strings.Trim(byID[id].Path, "/")) < len(strings.Trim(counted.Path, "/")) || same && syncedAt[id] > syncedAt[counted.Id] {
							rt.Fatalf("%q is counted by %s, although %s contains it or is newer", key, counted.Id, id)
						}
					}
				}
			}
		}
	})
}
