package bucketserver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Catalog says which backup records a bucket's owner has. The records are computed
// from the keys like everything else.
type Catalog struct {
	// Orphans is the share of the stems that no record names, in [0, 1].
	Orphans float64
	// Missing is the share of the stems beside which stands a record whose file does
	// not exist.
	Missing float64
	// StorageID is the destination that all records name.
	StorageID string
	// Sorted writes the records in the order of their paths. Without it they come
	// scattered over the key space, as records that came over years do.
	Sorted bool
}

const projectRecords = 24

func (c Catalog) check() error {
	if c.Orphans < 0 || c.Orphans > 1 || c.Missing < 0 || c.Missing > 1 {
		return fmt.Errorf("catalog with %v orphans and %v missing: each is a share from 0 to 1", c.Orphans, c.Missing)
	}
	return nil
}

// orphan and missing decide about a stem. They are functions of the stem alone.
func (c Catalog) orphan(stem uint64) bool  { return below(mix(stem^0x09fa), c.Orphans) }
func (c Catalog) missing(stem uint64) bool { return below(mix(stem^0x3155), c.Missing) }

func below(h uint64, share float64) bool {
	return share >= 1 || float64(h) < share*math.MaxUint64
}

// Tally counts files.
type Totals struct {
	Files uint64 `json:"files"`
	Bytes uint64 `json:"bytes"`
}

func (t *Totals) add(size int64) {
	t.Files++
	t.Bytes += uint64(size)
}

// Expected is what a right answer about a bucket and its catalog says.
type Expected struct {
	Digest  Digest
	Linked  [numTypes]Totals
	Orphans [numTypes]Totals
	// Missing counts the records whose file does not exist.
	Missing uint64
	// Backups, Projects and Pitrs count the records that WriteRecords writes.
	Backups, Projects, Pitrs uint64
	// RecordBytes is the sum of the sizes that the backup records tell.
	RecordBytes uint64
}

// Records is the number of lines that WriteRecords writes.
func (e *Expected) Records() uint64 { return e.Backups + e.Projects + e.Pitrs }

// OrphanTotal sums the orphans of all types.
func (e *Expected) OrphanTotal() (t Totals) {
	for _, o := range e.Orphans {
		t.Files += o.Files
		t.Bytes += o.Bytes
	}
	return t
}

// Expect computes the right answer by walking over all keys: about 50 ns each.
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

// WriteRecords writes the catalog that matches the keys as NDJSON, a record a line
// as POST /api/v1/catalog/import takes them: projects, PITR configurations, backups.
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
			// No stem ends so, and it sorts right behind the one that exists.
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

// order yields every rank once: ascending, or hopping by the golden ratio, which
// never lands near where it was.
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
	dst = append(dst, path...) // computed keys hold nothing that JSON escapes
	return append(dst, "\"}\n"...)
}
