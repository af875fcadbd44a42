package split

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
	"firescan/provider"
)

const (
	// MaxSegmentFiles is the number of files after which a segment is sealed.
	MaxSegmentFiles = 250_000

	// maxProbeLevels bounds the levels of folders that a first plan lists.
	maxProbeLevels = 4
	// probeTimeout bounds the probing: a list with a delimiter over a dense prefix takes a
	// provider seconds, and the scan does well enough without it.
	probeTimeout = 2 * time.Second
)

// FirstPlan cuts the remaining parts of a key space after the folders of a bucket.
func FirstPlan(ctx context.Context, bucket provider.Bucket, prefix string, space keyspace.Range, remaining []keyspace.Range, streams int) []PlannedRange {
	return cutAll(remaining, probe(ctx, bucket, prefix, space, streams), 0)
}

// PlanByKeys cuts the remaining parts of a key space at keys of the last generation with
// the same number of files between them.
func PlanByKeys(remaining []keyspace.Range, keys [][]byte, files float64) []PlannedRange {
	cuts := make([]string, len(keys))
	for i, k := range keys {
		cuts[i] = keyspace.After(string(k))
	}
	return cutAll(remaining, cuts, files)
}

// PlanBySegments cuts the remaining parts of a key space at segments of the last
// generation, into about that many parts if there are as many segments.
func PlanBySegments(remaining []keyspace.Range, segments []*pb.Segment, parts int) []PlannedRange {
	var files, seen float64
	for _, s := range segments {
		files += float64(s.Files)
	}
	var cuts []string
	for _, s := range segments {
		if seen >= float64(len(cuts)+1)*files/float64(parts) {
			cuts = append(cuts, string(s.Start))
		}
		seen += float64(s.Files)
	}
	return cutAll(remaining, cuts, files/float64(len(cuts)+1))
}

// Parts returns the number of ranges into which a later scan cuts a bucket with so many
// files: one per stream, more when they would outgrow a segment, fewer when there are
// fewer pages.
func Parts(files uint64, streams int) int {
	pages := max(1, int((files+PageSize-1)/PageSize))
	n := min(streams, pages)
	for pages/n > MaxSegmentFiles/PageSize {
		n *= 2
	}
	return n
}

// cutAll cuts ranges at the given keys and expects so many files in each part.
func cutAll(ranges []keyspace.Range, cuts []string, files float64) []PlannedRange {
	var plan []PlannedRange
	for _, r := range ranges {
		for _, part := range r.Split(cuts...) {
			plan = append(plan, PlannedRange{part, files})
		}
	}
	return plan
}

// probe returns keys that cut a key space after its folders, level by level, until there
// are enough for the streams. It makes at most one list per folder, as many at once as
// there are streams. A list that fails or takes long is ignored: the cuts are only a
// start, and the scan itself will report the error.
//
// A range that ends with a folder has no unknown keys after its last one, so that the
// keys left can be estimated from its first page on.
func probe(ctx context.Context, bucket provider.Bucket, prefix string, space keyspace.Range, streams int) []string {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var folders []string // that were not listed, or not to their end
	level := []string{prefix}
	for depth := 0; depth < maxProbeLevels && len(level) > 0 && len(level) <= 2*streams && len(folders)+len(level) < 2*streams; depth++ {
		found := make([]listing, len(level))
		var group errgroup.Group
		for i, folder := range level {
			group.Go(func() error {
				found[i] = listFolder(ctx, bucket, folder, space)
				return nil
			})
		}
		_ = group.Wait()
		var next []string
		for i, l := range found {
			next = append(next, l.folders...)
			if !l.isWhole {
				folders = append(folders, level[i])
			}
		}
		level = next
	}
	var cuts []string
	for _, folder := range append(folders, level...) {
		if cut := keyspace.After(keyspace.PrefixEnd(folder)); folder != "" && space.CanSplit(cut) {
			cuts = append(cuts, cut)
		}
	}
	slices.Sort(cuts)
	return thin(slices.Compact(cuts), 2*streams)
}

// A listing is one page of a list with a delimiter.
type listing struct {
	folders []string
	isWhole bool // nothing follows the last of the folders
}

func listFolder(ctx context.Context, bucket provider.Bucket, folder string, space keyspace.Range) (l listing) {
	var page provider.Page
	req := provider.ListRequest{Prefix: folder, Start: max(folder, space.Start), End: space.End, Delimiter: "/"}
	if err := bucket.List(ctx, req, &page); err != nil {
		return l
	}
	l.folders = slices.Clone(page.Prefixes)
	n := len(page.Objects)
	l.isWhole = !page.More && len(l.folders) > 0 && (n == 0 || string(page.Objects[n-1].Key) < l.folders[len(l.folders)-1])
	return l
}

// thin returns at most n of the keys, evenly spread.
func thin(keys []string, n int) []string {
	if len(keys) <= n {
		return keys
	}
	out := make([]string, n)
	for i := range out {
		out[i] = keys[i*len(keys)/n]
	}
	return out
}
