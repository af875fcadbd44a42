package scanner

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
	"firescan/provider"
)

// PlannedRange is a range to list and how many keys to expect in it; 0 is unknown.
type PlannedRange struct {
	keyspace.Range
	Keys float64
}

const (
	// probeLevels bounds how many levels of folders a first plan looks into.
	probeLevels = 4
	// probeTime bounds the looking: over a dense prefix a list with a delimiter
	// takes a provider seconds, and the scan does without it well enough.
	probeTime = 2 * time.Second
)

// probe finds keys that cut space behind its folders, level by level, until there are
// enough for the streams. It makes at most one list for each folder looked into, as
// many at once as there are streams. A list that fails or takes long is passed
// over: the cuts are only a start, and the scan itself will meet what is wrong.
//
// A range that ends with a folder has no unknown ground behind its last key, so that
// what is left of it can be reckoned from the first page on.
func probe(ctx context.Context, bucket provider.Bucket, prefix string, space keyspace.Range, streams int) []string {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var folders []string // that were not looked into, or not to their end
	level := []string{prefix}
	for depth := 0; depth < probeLevels && len(level) > 0 && len(level) <= 2*streams && len(folders)+len(level) < 2*streams; depth++ {
		found := make([]listing, len(level))
		var group errgroup.Group
		for i, folder := range level {
			group.Go(func() error {
				found[i] = look(ctx, bucket, folder, space)
				return nil
			})
		}
		_ = group.Wait()
		var next []string
		for i, l := range found {
			next = append(next, l.folders...)
			if !l.whole {
				folders = append(folders, level[i])
			}
		}
		level = next
	}
	var cuts []string
	for _, folder := range append(folders, level...) {
		if cut := keyspace.After(provider.PrefixEnd(folder)); folder != "" && space.CanSplit(cut) {
			cuts = append(cuts, cut)
		}
	}
	slices.Sort(cuts)
	return thin(slices.Compact(cuts), 2*streams)
}

// listing is what one list with a delimiter tells of a folder.
type listing struct {
	folders []string
	// whole is set when there is nothing behind the last of them.
	whole bool
}

func look(ctx context.Context, bucket provider.Bucket, folder string, space keyspace.Range) (l listing) {
	var page provider.Page
	req := provider.ListRequest{Prefix: folder, Start: max(folder, space.Start), End: space.End, Delimiter: "/"}
	if err := bucket.List(ctx, req, &page); err != nil {
		return l
	}
	l.folders = slices.Clone(page.Prefixes)
	n := len(page.Objects)
	l.whole = !page.More && len(l.folders) > 0 && (n == 0 || string(page.Objects[n-1].Key) < l.folders[len(l.folders)-1])
	return l
}

// thin answers at most n of the keys, evenly spread.
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

// planned makes ranges of unknown size out of the remaining parts of a key space.
func planned(remaining []keyspace.Range, cuts []string) []PlannedRange {
	var plan []PlannedRange
	for _, r := range remaining {
		for _, part := range r.Split(cuts...) {
			plan = append(plan, PlannedRange{Range: part})
		}
	}
	return plan
}

// equalParts is the plan of a later scan: the remaining parts of a key space, cut at
// keys of the last generation that have the same number of its files between
// them. files is that number.
func equalParts(remaining []keyspace.Range, keys [][]byte, files float64) []PlannedRange {
	cuts := make([]string, len(keys))
	for i, k := range keys {
		cuts[i] = keyspace.After(string(k))
	}
	plan := planned(remaining, cuts)
	for i := range plan {
		plan[i].Keys = files
	}
	return plan
}

// bySegments is the same, as well as the segments of the last generation tell: in at
// least so many parts if there are so many segments.
func bySegments(remaining []keyspace.Range, segments []*pb.Segment, parts int) []PlannedRange {
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
	plan := planned(remaining, cuts)
	for i := range plan {
		plan[i].Keys = files / float64(len(cuts)+1)
	}
	return plan
}

// parts is into how many ranges a later scan cuts a bucket of that many files: one
// for each stream, more when they would outgrow a segment, fewer when a page would do.
func parts(files uint64, streams int) int {
	pages := max(1, int((files+pageSize-1)/pageSize))
	n := min(streams, pages)
	for pages/n > sealAfter/pageSize {
		n *= 2
	}
	return n
}
