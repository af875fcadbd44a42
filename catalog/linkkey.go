package catalog

import (
	"bytes"
	"hash/crc32"
	"slices"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// A LinkKind states how a backup record links files.
type LinkKind uint8

// The kinds of links.
const (
	// LinkPath is the storagePath of a record. It links every file with its stem by the rule
	// of the record's destination.
	LinkPath LinkKind = 1
	// LinkFile is one of the files of a record. It links exactly that path.
	LinkFile LinkKind = 2
	// LinkAlias is another reading of a storagePath. It links as LinkPath does, but the
	// record is not missing without it.
	LinkAlias LinkKind = 3
	// LinkPrefix is a folder that a record names. It links every key that begins with it.
	// Path ends in a slash and is the stem.
	LinkPrefix LinkKind = 4
)

// LinksStem reports whether links of the kind link every file with their stem.
func (k LinkKind) LinksStem() bool { return k == LinkPath || k == LinkAlias }

// A Link records that a backup record needs files of a bucket.
type Link struct {
	// Stem is the stem of Path.
	Stem []byte
	Kind LinkKind
	// Path is the full object key that the record names.
	Path []byte
	// Org, BackupID and StorageID identify the record and the destination that it names.
	Org, BackupID, StorageID []byte
	// Rule decides which files a storagePath links by their stem. It is that of the
	// destination.
	Rule keyspace.StemRule
}

// Links reports how a link links the file at path: whether the record names the file, or a
// folder of it, or else whether the file only shares the stem of the storagePath. What looks
// like a file may be a folder: only the bucket knows.
func (l *Link) Links(path []byte) (named, byStem bool) {
	switch {
	case l.Kind == LinkPrefix:
		named = bytes.HasPrefix(path, l.Path)
	case bytes.Equal(path, l.Path), isBelow(l.Path, path):
		named = true
	case l.Kind.LinksStem():
		byStem = bytes.Equal(l.Rule.Stem(path), l.Rule.Stem(l.Path))
	}
	return named, byStem
}

// isBelow reports whether path lies below name, taken as a folder.
func isBelow(name, path []byte) bool {
	return len(path) > len(name) && path[len(name)] == '/' && bytes.HasPrefix(path, name)
}

// The key of a link is: the stem, escaped so that keys sort as stems do; the kind; the
// organization and the id of the record, each ended by 0x00; and the rest of the path
// after the stem. In the stem a byte 0x00 becomes 0x00 0xff and the end is 0x00 0x01,
// which is less than any byte that could follow in a longer stem. The value is the
// storage id and a checksum.
const (
	escaped    = 0xff
	terminator = 0x01
)

// appendStem appends an escaped stem, with which the key of a link begins.
func appendStem(dst, stem []byte) []byte {
	for {
		i := bytes.IndexByte(stem, 0)
		if i < 0 {
			return append(append(dst, stem...), 0, terminator)
		}
		dst = append(append(dst, stem[:i]...), 0, escaped)
		stem = stem[i+1:]
	}
}

// linkKey returns the key of a link.
func linkKey(kind LinkKind, org, id string, path []byte) []byte {
	return appendLinkKey(make([]byte, 0, len(path)+len(org)+len(id)+len("\x00\x01k\x00\x00")), kind, org, id, path)
}

// appendLinkKey appends the key of a link.
func appendLinkKey(key []byte, kind LinkKind, org, id string, path []byte) []byte {
	stem := keyspace.Stem(path)
	key = append(appendStem(key, stem), byte(kind))
	key = append(append(key, org...), 0)
	key = append(append(key, id...), 0)
	return append(key, path[len(stem):]...)
}

// linkSeed returns where the checksums of the links of a bucket begin, so that a link that
// got into another bucket is noticed.
func linkSeed(bucketID string) uint32 { return crc32.Checksum([]byte(bucketID), castagnoli) }

// A recordLink is a link that a record makes, in one bucket or, without a bucket id, in
// every home of its destination.
type recordLink struct {
	kind     LinkKind
	path     []byte
	bucketID string
}

var linkKinds = map[pb.Reference_Kind]LinkKind{
	pb.Reference_PATH: LinkPath, pb.Reference_ALIAS: LinkAlias, pb.Reference_FILE: LinkFile,
	pb.Reference_FILE_ALIAS: LinkFile, pb.Reference_PREFIX: LinkPrefix,
}

// recordLinks returns the links of a record: its references, or for a record without any the
// paths as they stand.
func recordLinks(r *pb.Backup) []recordLink {
	links := make([]recordLink, 0, 1+len(r.GetFiles()))
	for _, ref := range r.GetReferences() {
		bucketID := ref.GetBucketId()
		if bucketID != "" {
			bucketID = canonicalID(bucketID) // an older version may have resolved it
		}
		links = append(links, recordLink{linkKinds[ref.GetKind()], ref.GetKey(), bucketID})
	}
	if len(links) > 0 {
		return links
	}
	if p := r.GetStoragePath(); len(p) > 0 {
		links = append(links, recordLink{kind: LinkPath, path: p})
	}
	for _, p := range r.GetFiles() {
		links = append(links, recordLink{kind: LinkFile, path: p})
	}
	return links
}

func (l recordLink) key(r *pb.Backup) []byte { return linkKey(l.kind, r.GetOrg(), r.GetId(), l.path) }

// buckets returns the buckets of the link, given the homes of the record's destination.
func (l recordLink) buckets(homes []string) []string {
	if l.bucketID != "" {
		return []string{l.bucketID}
	}
	return homes
}

// addTo notes in a delta that the link has changed.
func (l recordLink) addTo(d *pb.Delta) {
	if l.kind == LinkPrefix {
		d.Prefixes = append(d.Prefixes, l.path)
	} else {
		d.Stems = append(d.Stems, keyspace.Stem(l.path))
	}
}

// sameLinks reports whether two states of a record link the same files.
func sameLinks(a, b *pb.Backup) bool {
	return a.GetStorageId() == b.GetStorageId() && slices.EqualFunc(recordLinks(a), recordLinks(b), func(a, b recordLink) bool {
		return a.kind == b.kind && a.bucketID == b.bucketID && string(a.path) == string(b.path)
	})
}

// A linkReader decodes links. It does not allocate once its buffers have grown.
type linkReader struct {
	seed       uint32 // see linkSeed
	link       Link
	stem, path []byte
}

// read decodes a link into r.link, which aliases key, value and the buffers.
func (r *linkReader) read(key, value []byte) error {
	value, ok := cutChecksum(r.seed, key, value)
	if !ok {
		return damaged("the checksum of the link %q is wrong", key)
	}
	end := bytes.IndexByte(key, 0)
	if end < 0 || end+1 >= len(key) {
		return damagedLink(key)
	}
	stem, rest := key[:end], key[end:]
	if rest[1] != terminator {
		if rest, ok = r.unescape(key, end); !ok {
			return damagedLink(key)
		}
		stem = r.stem
	}
	if len(rest) < 3 {
		return damagedLink(key)
	}
	kind, rest := LinkKind(rest[2]), rest[3:]
	i := bytes.IndexByte(rest, 0)
	if i < 0 || kind < LinkPath || kind > LinkPrefix {
		return damagedLink(key)
	}
	org, rest := rest[:i], rest[i+1:]
	if i = bytes.IndexByte(rest, 0); i < 0 {
		return damagedLink(key)
	}
	r.path = append(append(r.path[:0], stem...), rest[i+1:]...)
	r.link = Link{Stem: stem, Kind: kind, Path: r.path, Org: org, BackupID: rest[:i], StorageID: value}
	return nil
}

// unescape reads a stem with 0x00 bytes, the first at i, into r.stem. It returns the rest
// of the key from the terminator on.
func (r *linkReader) unescape(key []byte, i int) (rest []byte, ok bool) {
	r.stem = r.stem[:0]
	for {
		if i < 0 || i+1 >= len(key) {
			return nil, false
		}
		r.stem = append(r.stem, key[:i]...)
		switch key[i+1] {
		case terminator:
			return key[i:], true
		case escaped:
			r.stem = append(r.stem, 0)
		default:
			return nil, false
		}
		key = key[i+2:]
		i = bytes.IndexByte(key, 0)
	}
}

func damagedLink(key []byte) error { return damaged("the link %q cannot be read", key) }

// withFold returns a path and, where it differs, the name under which records may mean it
// (keyspace.Fold).
func withFold(path []byte) [][]byte {
	if fold, other := keyspace.Folded(path); other {
		return [][]byte{path, fold}
	}
	return [][]byte{path}
}

func hasFold(path []byte) bool { return len(withFold(path)) > 1 }
