package deletion

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"firescan/catalog"
	"firescan/index"
	"firescan/keyspace"
	"firescan/provider"
)

// A record whose file was not listed may have it all the same: under another name, when the
// server keeps objects under other names than they are stored with, and still serves them
// under the latter. So before anything is deleted, the files of such records are looked up.
// What has the name, or is the object, of one that responds is not deleted.

const (
	// maxUnseen bounds the records that are looked up before a deletion, and unseenTime the
	// time for it. Others count as if they might respond.
	maxUnseen  = 1000
	unseenTime = 20 * time.Second
	// unseenFor is how long a result is used again.
	unseenFor = 5 * time.Minute
	// maxLookups bounds the results that are kept.
	maxLookups = 10 * maxUnseen
	// unseenPage is how many records are read at once.
	unseenPage = 1000
)

// ErrUnlisted is returned for a file that may be that of a backup record under another name.
var ErrUnlisted = errors.New("a backup record whose file is not listed may mean this file: the server may list it under another name")

// unseen is what protects the files of records of a destination that were not listed.
type unseen struct {
	found map[object]owners // objects that were looked up and exist
	names map[string]owners // by the name that all forms of such an object's key share
	// last are the hashes of the names without their folders, of records that could not be
	// looked up, with the hash of the record, or 0 for several. They can be very many.
	last map[uint64]uint64
}

// An object is recognized by its size and tag, whatever its name.
type object struct {
	size   int64
	digest uint64
}

// owners are the records that need an object.
type owners []owner

type owner struct{ org, backup string }

func (o owner) hash() uint64 { return xxhash.Sum64String(o.org + "\x00" + o.backup) }

// keeps reports whether a file that exists may be that of a record, except of those that are
// deleted with it.
func (u *unseen) keeps(c *candidate, org string, deleted []string) bool {
	if u == nil {
		return false
	}
	name := foldName(c.path)
	if u.found[object{c.seen.Size, xxhash.Sum64String(c.seen.Tag)}].others(org, deleted) || u.names[name].others(org, deleted) {
		return true
	}
	by, resembles := u.last[segmentHash(name)]
	return resembles && !slices.ContainsFunc(deleted, func(id string) bool { return by == (owner{org, id}).hash() })
}

// withoutUnseen returns the files that are not those of a record, other than backups, whose
// file was not listed. The others have the reason.
func (op *operation) withoutUnseen(files []*candidate, backups []string) []*candidate {
	return slices.DeleteFunc(files, func(c *candidate) bool {
		keep := op.unseen.keeps(c, op.destination.Org, backups)
		if keep {
			c.err = ErrUnlisted
		}
		return keep
	})
}

// others reports whether one of the records is not deleted.
func (o owners) others(org string, deleted []string) bool {
	return slices.ContainsFunc(o, func(by owner) bool { return by.org != org || !slices.Contains(deleted, by.backup) })
}

// foldName returns the name that all forms of a key share, also for servers that do not
// distinguish upper and lower case, or drop a slash at the end (rclone serve s3 before 1.74).
func foldName(key []byte) string {
	return strings.TrimSuffix(strings.ToLower(keyspace.Fold(string(key))), "/")
}

func segmentHash(name string) uint64 {
	return xxhash.Sum64String(name[strings.LastIndexByte(name, '/')+1:])
}

// findUnseen looks up the files of records that the last scan of the destination has not
// seen, or has not looked for although they are in its bucket. It returns nil if there are none.
func (op *operation) findUnseen(ctx context.Context) (*unseen, error) {
	view, err := op.deleter.view(ctx, op.destination.Id)
	if err != nil || view == nil {
		return nil, err
	}
	defer view.Release()
	u := &unseen{found: map[object]owners{}, names: map[string]owners{}, last: map[uint64]uint64{}}
	generation, _ := view.Generation()
	ctx, cancel := context.WithTimeout(ctx, unseenTime)
	defer cancel()
	looked := 0
	lookUp := func(list []index.Missing) {
		n := min(len(list), maxUnseen-looked)
		op.lookUp(ctx, generation, list[:n], u)
		for _, m := range list[n:] {
			u.notLookedUp(&m)
		}
		looked += n
	}
	var after []byte
	for {
		list, next, err := view.Missing("", after, unseenPage)
		if err != nil {
			return nil, err
		}
		lookUp(list)
		if after = next; next == nil {
			break
		}
	}
	if err := op.deleter.strays(view, op.destination, func(strays []stray) error {
		var list []index.Missing
		for _, s := range strays {
			for _, key := range s.here {
				list = append(list, index.Missing{Org: []byte(op.destination.Org), BackupID: []byte(s.record.Id), Path: key})
			}
		}
		lookUp(list)
		return nil
	}); err != nil {
		return nil, err
	}
	if len(u.names) == 0 && len(u.last) == 0 {
		return nil, nil //nolint:nilnil // nothing protects more than the links do
	}
	op.deleter.config.Logger.Warn("backup records whose files are not listed protect files that may be theirs under other names",
		"destination", op.destination.Id, "exist", len(u.names), "not_looked_up", len(u.last))
	return u, nil
}

// lookUp looks up the objects of records.
func (op *operation) lookUp(ctx context.Context, generation string, list []index.Missing, u *unseen) {
	var mu sync.Mutex
	op.deleter.each(len(list), func(i int) {
		m := &list[i]
		infos, err := op.statRecord(ctx, generation, m)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			u.notLookedUp(m)
		}
		by := owner{string(m.Org), string(m.BackupID)}
		for _, info := range infos {
			o := object{info.Size, xxhash.Sum64String(info.Tag)}
			u.found[o] = append(u.found[o], by)
			u.names[foldName([]byte(info.Key))] = append(u.names[foldName([]byte(info.Key))], by)
		}
	})
}

func (u *unseen) notLookedUp(m *index.Missing) {
	last, by := segmentHash(foldName(m.Path)), owner{string(m.Org), string(m.BackupID)}.hash()
	if known, ok := u.last[last]; ok && known != by {
		by = 0
	}
	u.last[last] = by
}

// statRecord returns the objects that respond to the location of a record, in the form in
// which the record has it and in the likely one.
func (op *operation) statRecord(ctx context.Context, generation string, m *index.Missing) (found []provider.Info, err error) {
	keys := [][]byte{m.Path}
	err = op.deleter.config.Catalog.View(func(tx *catalog.Tx) error {
		b, err := tx.Backup(string(m.Org), string(m.BackupID))
		if err == nil && len(b.GetStoragePath()) > 0 && !bytes.Equal(b.GetStoragePath(), m.Path) {
			keys = append(keys, b.GetStoragePath())
		}
		if errors.Is(err, catalog.ErrNotFound) {
			keys, err = nil, nil // it was deleted since
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		info, failed := op.deleter.lookups.stat(ctx, op.bucket, generation, string(key))
		switch kind := provider.KindOf(failed); {
		case failed == nil:
			found = append(found, info)
		case kind == provider.NotFound:
		case kind == provider.Invalid: // neither proves that there is none, nor fails for another key
			err = failed
		default:
			return found, failed
		}
	}
	return found, err
}

// lookups keeps the results of lookups for a while, each for one generation: what a scan has
// listed existed before, under whatever name, so a later lookup has seen it.
type lookups struct {
	mu      sync.Mutex
	results map[string]lookup
}

type lookup struct {
	info provider.Info
	err  error
	at   time.Time
}

// stat looks up a key. Only what the provider has said for certain is kept.
func (l *lookups) stat(ctx context.Context, b provider.Bucket, generation, key string) (provider.Info, error) {
	id := generation + "\x00" + key
	l.mu.Lock()
	known, ok := l.results[id]
	l.mu.Unlock()
	if ok && time.Since(known.at) < unseenFor {
		return known.info, known.err
	}
	info, err := b.Stat(ctx, key)
	if err == nil || provider.KindOf(err) == provider.NotFound {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.results == nil || len(l.results) >= maxLookups {
			l.results = map[string]lookup{}
		}
		l.results[id] = lookup{info, err, time.Now()}
	}
	return info, err
}
