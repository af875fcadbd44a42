package bucketserver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Catalog describes the backup records of a bucket. They are computed from the keys.
type Catalog struct {
	// Orphans is the share of the stems without a record, in [0, 1].
	Orphans float64
	// Missing is the number of records without a file, as a share of the stems.
	Missing float64
	// StorageID is the destination of all records.
	StorageID string
	// Sorted writes the records in the order of their paths. By default they are
	// scattered over the key space, like records that were written over years.
	Sorted bool
}

const projectRecords = 24

func (c Catalog) check() error {
	if c.Orphans < 0 || c.Orphans > 1 || c.Missing < 0 || c.Missing > 1 {
		return fmt.Errorf("catalog: orphans %v, missing %v: each must be a share from 0 to 1", c.Orphans, c.Missing)
	}
	return nil
}

// orphan and missing are functions of the stem alone.
func (c Catalog) orphan(stem uint64) bool  { return below(mix(stem^0x09fa), c.Orphans) }
func (c Catalog) missing(stem uint64) bool { return below(mix(stem^0x3155), c.Missing) }

func below(h uint64, share float64) bool {
	return share >= 1 || float64(h) < share*math.MaxUint64
}

// Totals are a number of files and their size.
type Totals struct {
	Files uint64 `json:"files"`
	Bytes uint64 `json:"bytes"`
}

func (t *Totals) add(size int64) {
	t.Files++
	t.Bytes += uint64(size)
}

// Expected is the correct scan result of a bucket with a catalog.
type Expected struct {
	Digest  Digest
	Linked  [numTypes]Totals
	Orphans [numTypes]Totals
	// Missing is the number of records without a file.
	Missing uint64
	// Backups, Projects and Pitrs are the numbers of records that WriteRecords writes.
	Backups, Projects, Pitrs uint64
	// RecordBytes is the sum of the sizes in the backup records.
	RecordBytes uint64
}

// Records returns the number of lines that WriteRecords writes.
func (e *Expected) Records() uint64 { return e.Backups + e.Projects + e.Pitrs }

// OrphanTotal returns the totals of the orphans of all types.
func (e *Expected) OrphanTotal() (t Totals) {
	for _, o := range e.Orphans {
		t.Files += o.Files
		t.Bytes += o.Bytes
	}
	return t
}

// Expect computes the correct result from all keys, at about 50 ns per key.
func (k *Keys) Expect(c Catalog) (*Expected, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	e := &Expected{Projects: projectRecords, Pitrs: uint64(len(k.pitr))}
	var (
		o      Object
		tag    []byte
		linked bool
	)
	cur := cursor{keys: k}
	for cur.seek(0); cur.valid(); cur.next() {
		cur.object(&o)
		kind := o.Type
		tag = appendTag(tag[:0], &o.ETag)
		e.Digest.Add(cur.key, o.Size, o.ModTime, tag)
		if cur.at.file == 0 {
			linked = k.linked(c, &cur)
		}
		if linked {
			e.Linked[kind].add(o.Size)
		} else {
			e.Orphans[kind].add(o.Size)
		}
		if kind == Backup {
			stem := cur.stem
			if !c.orphan(stem) {
				e.Backups++
				e.RecordBytes += uint64(o.Size)
			}
			if c.missing(stem) {
				e.Backups++
				e.Missing++
				e.RecordBytes += uint64(o.Size)
			}
		}
	}
	return e, nil
}

func (k *Keys) linked(c Catalog, cur *cursor) bool {
	if cur.leaf.fileSet.recorded {
		return !c.orphan(cur.stem)
	}
	for _, p := range k.pitr {
		if bytes.HasPrefix(cur.key, []byte(p)) {
			return true
		}
	}
	return false
}

// WriteRecords writes the catalog of the keys as NDJSON, in the format of
// POST /api/v1/catalog/import: projects, PITR configurations, backups.
func (k *Keys) WriteRecords(w io.Writer, c Catalog) error {
	if err := c.check(); err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 1<<18)
	for p := range projectRecords {
		fmt.Fprintf(out, `{"kind":"project","id":"proj_%02d","name":"Project %s"}`+"\n", p, words[p%len(words)])
	}
	for i, prefix := range k.pitr {
		fmt.Fprintf(out, `{"kind":"pitr","id":"pitr_%02d","storageId":%q,"projectId":"proj_%02d","enabled":true,"status":"active","prefix":%q}`+"\n",
			i, c.StorageID, i, prefix)
	}
	cur := cursor{keys: k}
	var (
		line []byte
		o    Object
	)
	for rank := range k.order(c.Sorted) {
		cur.seek(rank)
		if cur.kind() != Backup {
			continue
		}
		stem := cur.stem
		cur.object(&o)
		line = line[:0]
		if !c.orphan(stem) {
			line = appendRecord(line, c.StorageID, mix(rank), stem, &o, cur.key)
		}
		if c.missing(stem) {
			// No stem ends in "_lost", and the path sorts next to the existing stem.
			lost := append(bytes.Clone(cur.key[:cur.stemLen]), "_lost.backup"...)
			line = appendRecord(line, c.StorageID, mix(rank|1<<63), stem, &o, lost)
		}
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("write catalog records: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write catalog records: %w", err)
	}
	return nil
}

// order yields every rank once: ascending, or in steps of the golden ratio, which keep
// consecutive ranks far apart.
func (k *Keys) order(sorted bool) func(yield func(uint64) bool) {
	hop := uint64(1)
	if !sorted {
		for hop = uint64(float64(k.n)*0.618) | 1; gcd(hop, k.n) > 1; hop += 2 {
		}
	}
	return func(yield func(uint64) bool) {
		for i, at := uint64(0), uint64(0); i < k.n; i++ {
			if !yield(at) {
				return
			}
			at = (at + hop) % k.n
		}
	}
}

func gcd(a, b uint64) uint64 {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

func appendRecord(dst []byte, storage string, id, stem uint64, o *Object, path []byte) []byte {
	dst = append(dst, `{"kind":"backup","id":"bkp_`...)
	dst = appendHex16(dst, id)
	dst = append(dst, `","storageId":`...)
	dst = strconv.AppendQuote(dst, storage)
	dst = append(dst, `,"projectId":"proj_`...)
	dst = appendPair(dst, stem%projectRecords)
	dst = append(dst, `","status":"`...)
	if stem%97 == 0 {
		dst = append(dst, `in_progress`...)
	} else {
		dst = append(dst, `completed`...)
	}
	dst = append(dst, `","size":`...)
	dst = strconv.AppendInt(dst, o.Size, 10)
	dst = append(dst, `,"collections":["users","orders"],"createdAt":"`...)
	dst = appendTime(dst, o.ModTime)
	dst = append(dst, `","storagePath":"`...)
	dst = append(dst, path...) // computed keys need no JSON escapes
	return append(dst, "\"}\n"...)
}
