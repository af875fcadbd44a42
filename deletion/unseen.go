package deletion

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"firescan/catalog"
	"firescan/keyspace"
	"firescan/provider"
)

// A record whose file was not listed may have it all the same: under another name, when the
// server keeps objects under other names than they are stored with, and still serves them
// under the latter. So before anything is deleted, the files of such records are looked up.
// What has the name, or is the object, of one that responds is not deleted.

const (
	// maxUnseen bounds the keys that are looked up before a deletion, and unseenTime the time
	// for it. Others count as if they might respond.
	maxUnseen  = 1000
	unseenTime = 20 * time.Second
)

// ErrUnlisted is returned for a file that may be that of a backup record under another name.
var ErrUnlisted = errors.New("a backup record whose file is not listed may mean this file: the server may list it under another name")

// unseen is what protects the files of records that were not listed in a bucket.
type unseen struct {
	found map[object]owners // objects that were looked up and exist
	names map[string]owners // by the name that all forms of such an object's key share
	// last are those of records that could not be looked up, by the hash of the name without
	// its folders. They can be very many.
	last map[uint64]lastOwner
}

func newUnseen() *unseen {
	return &unseen{found: map[object]owners{}, names: map[string]owners{}, last: map[uint64]lastOwner{}}
}

// size returns the number of names that protect more than the links do.
func (u *unseen) size() int {
	if u == nil {
		return 0
	}
	return len(u.names) + len(u.last)
}

// An object is recognized by its size and tag, whatever its name.
type object struct {
	size   int64
	digest uint64
}

// owners are the records that need an object.
type owners []owner

type owner struct{ org, backup string }

func (o owner) hash() uint64 { return xxhash.Sum64String(o.id(nil)) }

func (o owner) id(key []byte) string { return o.org + "\x00" + o.backup + "\x00" + string(key) }

// A lastOwner is the hash of a record, or 0 for several, and whether one of them is of the
// organization that deletes.
type lastOwner struct {
	hash uint64
	own  bool
}

// A keeper states whose records keep a file.
type keeper uint8

const (
	keptByNobody keeper = iota
	keptByOthers        // records of other organizations only
	keptByOwn
)

// keeps returns who may need a file that exists, except records that are deleted with it.
func (u *unseen) keeps(c *candidate, org string, deleted []string) (by keeper) {
	if u.size() == 0 {
		return keptByNobody
	}
	name := foldName(c.path)
	for _, o := range slices.Concat(u.found[object{c.seen.Size, xxhash.Sum64String(c.seen.Tag)}], u.found[object{c.seen.Size, noTag}], u.names[name]) {
		switch {
		case o.org != org:
			by = max(by, keptByOthers)
		case !slices.Contains(deleted, o.backup):
			return keptByOwn
		}
	}
	last, resembles := u.last[segmentHash(name)]
	switch {
	case !resembles, slices.ContainsFunc(deleted, func(id string) bool { return last.hash == (owner{org, id}).hash() }):
		return by
	case last.own:
		return keptByOwn
	}
	return keptByOthers
}

// withoutUnseen returns the files that are not those of a record, other than backups, whose
// file was not listed. The others have the reason.
func (op *operation) withoutUnseen(files []*candidate, backups []string) []*candidate {
	op.looking.Lock()
	defer op.looking.Unlock()
	return slices.DeleteFunc(files, func(c *candidate) bool {
		by := op.unseen.keeps(c, op.destination.Org, backups)
		if by != keptByNobody {
			c.err, c.keptForOthers = ErrUnlisted, by == keptByOthers
		}
		return by != keptByNobody
	})
}

// foldName returns the name that all forms of a key share, also for servers that do not
// distinguish upper and lower case, or drop a slash at the end (rclone serve s3 before 1.74).
func foldName(key []byte) string {
	return strings.TrimSuffix(strings.ToLower(keyspace.Fold(string(key))), "/")
}

func segmentHash(name string) uint64 {
	return xxhash.Sum64String(name[strings.LastIndexByte(name, '/')+1:])
}

// findUnseen looks up the files of records that may be in the bucket and that no scan has
// listed, of all destinations whose records count there. Called again, it does so for the
// records that were written since.
func (op *operation) findUnseen(ctx context.Context) error {
	op.looking.Lock()
	defer op.looking.Unlock()
	var news news
	var claimants []catalog.Claimant
	if err := op.deleter.config.Catalog.View(func(tx *catalog.Tx) (err error) {
		if news, err = op.newRecords(tx); err == nil && news.some {
			claimants, err = tx.Claimants(op.destination)
		}
		return err
	}); err != nil {
		return err
	}
	if len(claimants) > 0 {
		if err := op.findUnseenOf(ctx, claimants, news.all); err != nil {
			return err
		}
	}
	op.looked = news.until
	return nil
}

func (op *operation) findUnseenOf(ctx context.Context, claimants []catalog.Claimant, all bool) error {
	view, err := op.deleter.view(ctx, op.destination.Id)
	if err != nil {
		return err
	}
	if view != nil {
		defer view.Release()
	}
	l, err := op.deleter.listings(ctx, op.destination, view, claimants)
	if err != nil {
		return err
	}
	defer l.release()
	if op.unseen == nil {
		op.unseen = newUnseen()
	}
	known := op.unseen.size()
	if err := op.lookUpAll(ctx, l, op.newSearch(l, op.unseen), all); err != nil {
		return err
	}
	if u := op.unseen; u.size() > known {
		op.deleter.config.Logger.Warn("backup records whose files are not listed protect files that may be theirs under other names",
			"destination", op.destination.Id, "exist", len(u.names), "not_looked_up", len(u.last))
	}
	return nil
}

// lookUpAll looks up the claims of all records, or of those that were written since the last
// time.
func (op *operation) lookUpAll(ctx context.Context, l *listings, s *search, all bool) error {
	timed, cancel := context.WithTimeout(ctx, unseenTime)
	defer cancel()
	lookUp := func(claims []claim) error {
		s.lookUp(timed, claims)
		return context.Cause(ctx)
	}
	lookUpUnscanned := func(claims []claim) error { return lookUp(s.withoutListed(timed, claims)) }
	wants := func(*catalog.Link) bool { return true }
	if all {
		wants = func(link *catalog.Link) bool {
			return l.listed[storage{string(link.Org), string(link.StorageID)}] != nil
		}
		for _, n := range l.all {
			if err := op.deleter.claims(l, n, lookUp); err != nil {
				return err
			}
		}
		if err := op.deleter.unscanned(ctx, l, op.destination.Org, lookUpUnscanned); err != nil {
			return err
		}
	}
	for _, id := range l.identities {
		since := op.looked[id]
		if all {
			since = l.classifiedAt(id)
		}
		if err := op.deleter.younger(ctx, l, op.destination.Org, id, since, wants, lookUpUnscanned); err != nil {
			return err
		}
	}
	return nil
}

// A search looks up the objects of claims, up to a bound.
type search struct {
	op         *operation
	generation string // of the listing of the destination; empty without one
	unseen     *unseen
	left       int             // keys that may still be looked up
	tried      map[string]bool // by record and key
}

func (op *operation) newSearch(l *listings, u *unseen) *search {
	s := &search{op: op, left: maxUnseen, unseen: u, tried: map[string]bool{}}
	if l.own != nil {
		s.generation, _ = l.own.view.Generation()
	}
	return s
}

// lookUp looks up claims and returns which of them responded.
func (s *search) lookUp(ctx context.Context, claims []claim) (responded []bool) {
	n := 0
	for n < len(claims) && len(claims[n].here) <= s.left {
		s.left -= len(claims[n].here)
		for _, key := range claims[n].here {
			s.tried[claims[n].id(key)] = true
		}
		n++
	}
	if n < len(claims) {
		s.left = 0
	}
	responded = make([]bool, len(claims))
	var mu sync.Mutex
	s.op.deleter.each(n, func(i int) {
		c := &claims[i]
		found, listed, err := s.stat(ctx, c)
		mu.Lock()
		defer mu.Unlock()
		responded[i] = listed || len(found) > 0 || c.state == claimSeen
		if err != nil {
			s.notLookedUp(c)
		}
		for _, info := range found {
			o, name := object{info.Size, xxhash.Sum64String(info.Tag)}, foldName([]byte(info.Key))
			s.unseen.found[o] = append(s.unseen.found[o], c.owner)
			s.unseen.names[name] = append(s.unseen.names[name], c.owner)
		}
	})
	for i := range claims[n:] {
		s.notLookedUp(&claims[n+i])
	}
	return responded
}

// withoutListed removes from claims of one key each, in order of the keys, those that were
// looked up before, and those whose objects are listed under exactly their keys. Where they
// are dense, one page of a list shows many.
func (s *search) withoutListed(ctx context.Context, claims []claim) []claim {
	claims = slices.DeleteFunc(claims, func(c claim) bool { return s.tried[c.id(c.here[0])] })
	files := make([]*candidate, len(claims))
	for i, c := range claims {
		files[i] = &candidate{path: c.here[0]}
	}
	var page provider.Page
	n := 0
	for len(files)-n >= minListed {
		covered, err := s.op.statPage(ctx, files[n:], &page)
		if err != nil { // single lookups may be permitted where lists are not
			break
		}
		for i := n; i < n+covered; i++ {
			claims[i].state = claimMissing
		}
		if n += covered; covered < minPerPage {
			break
		}
	}
	left := claims[:0]
	for i, c := range claims {
		if i >= n || files[i].seen == nil {
			left = append(left, c)
		}
	}
	return left
}

func (s *search) notLookedUp(c *claim) {
	by := lastOwner{c.hash(), c.org == s.op.destination.Org}
	for _, key := range c.here {
		last := segmentHash(foldName(key))
		known, ok := s.unseen.last[last]
		switch {
		case !ok:
			known = by
		case known.hash != by.hash:
			known.hash = 0
		}
		known.own = known.own || by.own
		s.unseen.last[last] = known
	}
}

// stat returns the objects that respond to the keys of a claim. Where no scan has looked, one
// that is listed under exactly its key needs no more than its link.
func (s *search) stat(ctx context.Context, c *claim) (found []provider.Info, listed bool, err error) {
	for _, key := range c.here {
		if c.state == claimUnscanned {
			if is, err := s.op.isListed(ctx, string(key)); err != nil {
				return found, listed, err
			} else if is {
				listed = true
				continue
			}
		}
		info, failed := s.op.lookUp(ctx, s.generation, string(key))
		switch kind := provider.KindOf(failed); {
		case failed == nil:
			found = append(found, info)
		case kind == provider.NotFound:
		case kind == provider.Invalid: // neither proves that there is none, nor fails for another key
			err = failed
		default:
			return found, listed, failed
		}
	}
	return found, listed, err
}

// isListed reports whether an object is listed under exactly its key. The server keeps that key
// as it is then, so an earlier lookup does.
func (op *operation) isListed(ctx context.Context, key string) (bool, error) {
	return op.deleter.lookups.isListed(ctx, op.bucket, catalog.BucketID(op.destination), key)
}

// lookUp looks up a key. What a scan has listed existed before, under whatever name, so for the
// deletion of such files an earlier lookup since then does. For others it does not.
func (op *operation) lookUp(ctx context.Context, generation, key string) (provider.Info, error) {
	if !op.listed || generation == "" {
		return op.bucket.Stat(ctx, key)
	}
	return op.deleter.lookups.stat(ctx, op.bucket, generation, key)
}
