package s3_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"firescan/provider"
)

// deaf serves keys in order, by tokens alone: it does not hear start-after. Tokens that begin
// with lost are not known to it.
func deaf(t *testing.T, keys []string, pageSize int, lists *atomic.Int64, lost func() bool) provider.Bucket {
	t.Helper()
	return answering(t, func(w http.ResponseWriter, r *http.Request) {
		lists.Add(1)
		q := r.URL.Query()
		from, _ := strconv.Atoi(q.Get("continuation-token"))
		if from > 0 && lost != nil && lost() {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, errorDocument("InvalidArgument"))
			return
		}
		most := pageSize
		if asked, err := strconv.Atoi(q.Get("max-keys")); err == nil {
			most = min(most, asked)
		}
		end := min(from+most, len(keys))
		fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%t</IsTruncated>", end < len(keys))
		if end < len(keys) {
			fmt.Fprintf(w, "<NextContinuationToken>%d</NextContinuationToken>", end)
		}
		for _, key := range keys[from:end] {
			fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>1</Size></Contents>", key)
		}
		fmt.Fprint(w, "</ListBucketResult>")
	}).Bucket("bucket")
}

func manyKeys(n int) (keys, cuts []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("key-%05d", i))
		if i%(n/64) == n/128 {
			cuts = append(cuts, keys[i])
		}
	}
	return keys, cuts
}

// TestWalkSharesItsWay: 64 ranges side by side take about two passes, not 64 halves.
func TestWalkSharesItsWay(t *testing.T) {
	var lists atomic.Int64
	keys, cuts := manyKeys(20_000)
	b := deaf(t, keys, 100, &lists, nil)
	if got := listRanges(t, b, cuts...); !slices.Equal(got, keys) {
		t.Errorf("%d keys are listed, want %d", len(got), len(keys))
	}
	if pages := int64(len(keys) / 100); lists.Load() > 4*pages {
		t.Errorf("%d lists for %d pages", lists.Load(), pages)
	}
}

// TestWalkWithTokensThatExpire: a place that the server has forgotten is looked for again.
func TestWalkWithTokensThatExpire(t *testing.T) {
	var lists, n atomic.Int64
	keys, cuts := manyKeys(2000)
	b := deaf(t, keys, 100, &lists, func() bool { return n.Add(1)%50 == 0 })
	got := listRanges(t, provider.Retry(b, provider.RetryOptions{Base: 1}), cuts...)
	if !slices.Equal(got, keys) || n.Load() < 50 {
		t.Errorf("%d keys are listed in %d lists, want %d", len(got), lists.Load(), len(keys))
	}
}
