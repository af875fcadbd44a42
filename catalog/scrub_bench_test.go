//go:build unix

package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// manyRecords writes a catalog with many records, by default 300,000; the environment
// variable SCRUB_RECORDS changes how many.
func manyRecords(b *testing.B) (c *Catalog, records int) {
	b.Helper()
	records = 300_000
	if n := os.Getenv("SCRUB_RECORDS"); n != "" {
		if _, err := fmt.Sscan(n, &records); err != nil {
			b.Fatal(err)
		}
	}
	order := make([]int, records)
	for i := range order {
		order[i] = i
	}
	c, _ = openTestAt(b, filepath.Join(b.TempDir(), "catalog.db"))
	c.db.NoSync = true
	for entries := benchEntries(b, records, order); len(entries) > 0; {
		n := min(64, len(entries))
		if _, err := c.Apply(entries[:n]); err != nil {
			b.Fatal(err)
		}
		entries = entries[n:]
	}
	return c, records
}

// cpuTime returns the time that this process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkScrub compares a catalog with its records. Run with -benchtime 1x.
func BenchmarkScrub(b *testing.B) {
	c, records := manyRecords(b)
	b.ResetTimer()
	begun := cpuTime(b)
	for b.Loop() {
		if err := verify(b, c); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-begun)/float64(b.N)/float64(records), "cpu-ns/record")
}

// BenchmarkAddChecksums adds checksums to links, in the transactions of an upgrade. (They
// get a second one, which costs the same.) Run with -benchtime 1x.
func BenchmarkAddChecksums(b *testing.B) {
	c, records := manyRecords(b)
	c.db.NoSync = false
	b.ResetTimer()
	begun := cpuTime(b)
	for b.Loop() {
		if err := c.db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(inMeta)).Put([]byte(metaChecksums), []byte{})
		}); err != nil {
			b.Fatal(err)
		}
		if err := addLinkChecksums(c.db, checksumsPerTx); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-begun)/float64(b.N)/float64(records), "cpu-ns/record")
}
