package bucketserver

import "math/bits"

// leaf is a run of keys that share a prefix: stems in ascending order, each with
// one to three files.
type leaf struct {
	prefix  []byte // shared by all keys; read-only
	first   uint64 // rank of its first key
	files   uint64
	stems   uint64
	step    uint64 // width of the id space stratum of each stem
	seed    uint64
	ids     *idFormat
	fileSet *fileSet
}

// place is a key's position in its leaf.
type place struct {
	stem  uint64
	file  uint8 // position among the stem's files
	files uint8 // number of the stem's files
}

// set initializes l as a leaf of the given number of files under prefix.
func (l *leaf) set(prefix []byte, first, files, seed uint64, ids *idFormat, st *fileSet) {
	l.prefix, l.first, l.files, l.seed, l.ids, l.fileSet = prefix, first, files, seed, ids, st
	if files == 0 {
		l.stems, l.step = 0, 0
		return
	}
	l.stems = l.locate(files-1).stem + 1
	l.step = ids.size / l.stems
}

// Every leaf consists of blocks of 16 stems with 43 files: twelve stems of three files,
// three of two and one of one. The order rotates from block to block, so the stem of a
// file is a table lookup and still hard to predict for a client.
const (
	blockStems = 16
	blockFiles = 43
)

var blockCounts = [blockStems]uint8{3, 3, 2, 3, 3, 3, 3, 2, 3, 3, 1, 3, 3, 2, 3, 3}

var blockPlaces = func() (t [blockStems][blockFiles]place) {
	for turn := range t {
		o := 0
		for s := range blockStems {
			n := blockCounts[(s+turn)%blockStems]
			for f := range n {
				t[turn][o] = place{stem: uint64(s), file: f, files: n}
				o++
			}
		}
	}
	return t
}()

// locate returns the place of file o < files of the leaf.
func (l *leaf) locate(o uint64) place {
	if l.fileSet.single {
		return place{stem: o, files: 1}
	}
	block := o / blockFiles
	p := blockPlaces[mix(l.seed+block)%blockStems][o%blockFiles]
	p.stem += block * blockStems
	// The last stem of a leaf may have fewer files.
	if rest := l.files - (o - uint64(p.file)); uint64(p.files) > rest {
		p.files = uint8(rest)
	}
	return p
}

// appendStem appends the key of stem j up to its first dot.
//
// Ids are stratified: the id of stem j is in [j*step, (j+1)*step). Ids look random, but
// they are ordered, distinct and computed directly.
func (l *leaf) appendStem(dst []byte, j uint64) []byte {
	jitter, _ := bits.Mul64(mix(l.seed^(j+1)), l.step)
	dst = append(dst, l.prefix...)
	dst = append(dst, l.fileSet.name...)
	return l.ids.put(dst, j*l.step+jitter)
}

// mix is a bijection of 64-bit numbers that scatters neighbors (the finalizer of
// splitmix64: Steele, Lea, Flood, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
