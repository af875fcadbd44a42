package bucketserver

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

// flat is one leaf.
type flat struct{ l leaf }

func newFlat(n uint64) *flat {
	f := new(flat)
	f.l.set([]byte("backups/production/"), 0, n, 0xf1a7, hex16, plainBackups)
	return f
}

func (f *flat) leafAt(_ uint64, l *leaf) { *l = f.l }

// skewed is a table of leaves.
type skewed struct{ leaves []leaf }

// The share of the k-th largest prefix is proportional to k^-1.2: the first of sixty has
// about a quarter of all keys, the last a thousandth.
const (
	skewPrefixes = 60
	skewExponent = 1.2
)

var words = strings.Fields(`archive atlas billing catalog checkout courier echo falcon gateway
	harbor invoices jupiter kepler ledger media nova orders payments quartz reports search
	tenants users vault warehouse`)

// newSkewed returns the leaves and the prefixes with a PITR configuration.
func newSkewed(n uint64) (*skewed, []string) {
	type part struct {
		prefix  string
		ids     *idFormat
		fileSet *fileSet
		weight  float64
	}
	var parts []part
	for k := range skewPrefixes {
		w, h := words[k%len(words)], mix(uint64(k)+0x5e3d)
		p := part{weight: math.Pow(float64(k+1), -skewExponent)}
		switch k % 6 {
		case 0:
			p.prefix, p.ids, p.fileSet = fmt.Sprintf("%s/%s/", w, appendBase62(nil, h)), base62, packedBackups
		case 1:
			p.prefix, p.ids, p.fileSet = fmt.Sprintf("prod/%s-%d/daily/full/", w, k), stamps, sealedBackups
		case 2:
			p.prefix, p.ids, p.fileSet = fmt.Sprintf("%s-%04d/", w, h%10000), hex16, plainBackups
		case 3:
			p.prefix, p.ids, p.fileSet = fmt.Sprintf("exports/20%02d/%02d/%s-%d_", 15+h%10, 1+h%12, w, k), decimal13, packedBackups
		case 4:
			p.prefix, p.ids, p.fileSet = fmt.Sprintf("logs/%s/%d/", w, k), stamps, strayLogs
			if k%12 == 4 {
				p.prefix, p.fileSet = fmt.Sprintf("pitr/%s-%d/", w, k), walFiles
			}
		case 5:
			p.prefix, p.ids, p.fileSet = fmt.Sprintf("u/%s/%d/", w, k), hex16, plainBackups
		}
		parts = append(parts, p)
	}
	weights := make([]float64, len(parts))
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.prefix, b.prefix) })
	for i, p := range parts {
		weights[i] = p.weight
	}
	bounds := share(n, weights)
	s := new(skewed)
	var pitr []string
	for i, p := range parts {
		if p.fileSet == walFiles && len(pitr) < 3 {
			pitr = append(pitr, p.prefix)
		}
		if bounds[i] < bounds[i+1] {
			var l leaf
			l.set([]byte(p.prefix), bounds[i], bounds[i+1]-bounds[i], mix(uint64(i)), p.ids, p.fileSet)
			s.leaves = append(s.leaves, l)
		}
	}
	return s, pitr
}

func (s *skewed) leafAt(i uint64, l *leaf) {
	*l = s.leaves[sort.Search(len(s.leaves), func(j int) bool { return s.leaves[j].first > i })-1]
}

// share divides n into parts by weight: part i is [bounds[i], bounds[i+1]).
func share(n uint64, weights []float64) []uint64 {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	bounds := make([]uint64, len(weights)+1)
	sum := 0.0
	for i, w := range weights {
		sum += w
		bounds[i+1] = min(n, uint64(sum/total*float64(n)))
	}
	bounds[len(weights)] = n
	return bounds
}
