package bucketserver

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// tree has directories by project, date and hour. The bounds of dates are stored (at most
// a few megabytes for any n), those of hours are computed.
type tree struct{ projects []treeProject }

type treeProject struct {
	name     string
	firstDay int
	bounds   []uint64 // of each day's ranks: [bounds[d], bounds[d+1])
}

const hoursPerDay = 24

// hourBounds are 32 distributions of the files of a day over its hours, as running sums
// of 1/65536ths: some have one busy hour, some are even.
var hourBounds = func() (t [32][hoursPerDay + 1]uint64) {
	for p := range t {
		weights := make([]float64, hoursPerDay)
		for h := range weights {
			weights[h] = math.Pow(float64(mix(uint64(p*hoursPerDay+h))%1000)/1000, float64(1+p%8))
		}
		copy(t[p][:], share(1<<16, weights))
	}
	return t
}()

func newTree(n uint64) *tree {
	projects := int(min(max(n/20_000, 3), 200))
	// About fifty files per hour directory, so that small buckets have useful
	// directories.
	days := float64(n) / (50 * hoursPerDay)
	names := make([]string, projects)
	for p := range names {
		names[p] = fmt.Sprintf("%s-%s-%03d", words[mix(uint64(p))%uint64(len(words))], []string{"prod", "staging", "dev"}[p%3], p)
	}
	slices.Sort(names)
	weights := make([]float64, projects)
	for p := range weights {
		weights[p] = math.Pow(float64(1+mix(uint64(p))%uint64(projects)), -1.1)
	}
	bounds := share(n, weights)
	t := new(tree)
	for p := range names {
		files := bounds[p+1] - bounds[p]
		// Half of the days in equal parts, half by size: small projects have many sparse
		// days, large ones dense days.
		part := 0.5/float64(projects) + 0.5*float64(files)/float64(max(n, 1))
		d := min(max(int(days*part), 2), epochDays)
		dw := make([]float64, d)
		for i := range dw {
			dw[i] = 0.02 + math.Pow(float64(mix(uint64(p)<<32|uint64(i))%1000)/1000, 4)
		}
		db := share(files, dw)
		for i := range db {
			db[i] += bounds[p]
		}
		t.projects = append(t.projects, treeProject{name: names[p], firstDay: epochDays - d, bounds: db})
	}
	return t
}

func (t *tree) leafAt(i uint64, l *leaf) {
	p := sort.Search(len(t.projects), func(j int) bool { b := t.projects[j].bounds; return b[len(b)-1] > i })
	pr := &t.projects[p]
	d := sort.Search(len(pr.bounds), func(j int) bool { return pr.bounds[j] > i }) - 1
	first, files := pr.bounds[d], pr.bounds[d+1]-pr.bounds[d]
	seed := mix(uint64(p)<<32 | uint64(d))
	profile := &hourBounds[seed%32]
	h := sort.Search(hoursPerDay, func(j int) bool { return files*profile[j+1]>>16 > i-first })
	from, to := files*profile[h]>>16, files*profile[h+1]>>16
	day := pr.firstDay + d
	// Only this function sets l.prefix, so the buffer can be reused.
	prefix := append(l.prefix[:0], pr.name...)
	prefix = append(prefix, '/')
	prefix = append(prefix, dayDashed[day]...)
	prefix = append(prefix, '/')
	prefix = appendPair(prefix, uint64(h))
	prefix = append(prefix, '/')
	l.set(prefix, first+from, to-from, mix(seed+uint64(h)), hex16, plainBackups)
}
