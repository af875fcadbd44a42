package catalog

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// Forms of locations that backup tools, SDKs and consoles write, beyond addresses and plain
// paths. docs/references.md lists all of them with their sources.

// addColon adds the readings of locations with a colon but no "//": "remote:bucket/key" of
// rclone, "s3:host/bucket/key", "s3:https://host/bucket/key" and "gs:bucket:/key" of restic,
// "bucket:/key". A key may contain a colon, so nothing is refused.
func (r *Resolver) addColon(p *places, text string) {
	before, rest, ok := strings.Cut(text, ":")
	if !ok || strings.Contains(before, "/") {
		return
	}
	if len(r.buckets[before]) > 0 {
		p.addKey(before, strings.TrimLeft(rest, "/"))
	}
	if _, after, ok := cutScheme(rest); ok {
		r.addURL(p, after)
		return
	}
	first, key, _ := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	if bucket := strings.TrimSuffix(first, ":"); len(r.buckets[bucket]) > 0 {
		p.addKey(bucket, key)
	} else if isHost(first) {
		r.addURL(p, first+"/"+key)
	}
}

// isHost reports whether the first part of an address may be a host and not a bucket.
func isHost(name string) bool { return strings.ContainsAny(name, ".:") || name == "localhost" }

// pathForms returns the forms of a location without a scheme, the most likely first.
func pathForms(text, trimmed string) []string {
	clean := strings.TrimLeft(trimmed, "/")
	if slash := strings.HasSuffix(clean, "/"); clean != "" {
		if clean = strings.TrimLeft(path.Clean(clean), "/"); slash {
			clean += "/"
		}
	}
	forms := []string{clean, text, trimmed, strings.TrimLeft(trimmed, "/")}
	if strings.Contains(clean, `\`) {
		forms = append(forms, strings.TrimLeft(path.Clean(strings.ReplaceAll(clean, `\`, "/")), "/"))
	}
	forms = append(forms, decodings(clean)...)
	short := withoutVersion(clean)
	if short[0] != clean {
		return append(short[:1:1], forms...)
	}
	return append(forms, short[1:]...)
}

// withoutVersion returns a key that may end in a version or a generation, with and without
// it, the more likely first: a record counts as missing when its first reading is not seen.
func withoutVersion(key string) []string {
	forms := []string{key}
	for _, cut := range []string{"?", "#"} {
		short, version, ok := strings.Cut(key, cut)
		switch {
		case !ok:
		case cut == "?" && (strings.HasPrefix(version, "versionId=") || strings.HasPrefix(version, "generation=")),
			cut == "#" && version != "" && strings.Trim(version, "0123456789") == "":
			forms = append([]string{short}, forms...)
		default:
			forms = append(forms, short)
		}
	}
	return forms
}

// addAfterBuckets adds what follows the name of a bucket anywhere in a location: in an
// address whose key was escaped, or a URL whose key was not, in addresses of consoles and
// APIs, below a mount point or an alias, after a host without a scheme.
func (r *Resolver) addAfterBuckets(p *places, text string) {
	for bucket, rest := range r.afterBuckets(text) {
		for _, form := range addressForms(rest) {
			for _, decoded := range decodings(form) {
				p.addKey(bucket, decoded)
			}
			p.addKey(bucket, form)
		}
	}
}

// afterBucket are the bytes that may follow the name of a bucket.
const afterBucket = `/\:|,;?@ `

// afterBuckets returns the buckets that a location names, alone or in a host, each with the text
// that follows.
func (r *Resolver) afterBuckets(text string) iter.Seq2[string, string] {
	return func(yield func(bucket, rest string) bool) {
		for start, i := 0, 0; i < len(text); i++ {
			if isNameByte(text[i]) {
				continue
			}
			name, before, after := text[start:i], text[:start], text[i:]
			start = i + 1
			switch {
			case strings.IndexByte(afterBucket, text[i]) < 0:
				continue
			case text[i] == '@': // BUCKET@ACCOUNT/KEY
				_, after, _ = strings.Cut(after, "/")
			}
			for bucket := range partsOfHost(name) {
				if len(r.buckets[bucket]) == 0 {
					continue
				}
				if rest := cutCollection(before, strings.TrimLeft(after, `/\:|,; `)); rest != "" && !yield(bucket, rest) {
					return
				}
			}
		}
	}
}

// partsOfHost returns the names that a host, as in BUCKET.s3.amazonaws.com and s3.BUCKET, may
// have as that of a bucket, which may have dots.
func partsOfHost(host string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for start := 0; start < len(host); {
			for end := len(host); end > start; end = strings.LastIndexByte(host[:end], '.') {
				if !yield(host[start:end]) {
					return
				}
			}
			dot := strings.IndexByte(host[start:], '.')
			if dot < 0 {
				return
			}
			start += dot + 1
		}
	}
}

// cutCollection returns what follows a bucket without the word that APIs of Google have before
// the key: .../b/BUCKET/o/KEY and .../buckets/BUCKET/objects/KEY.
func cutCollection(before, rest string) string {
	word := "o"
	if strings.HasSuffix(before, "buckets/") {
		word = "objects"
	} else if !strings.HasSuffix(before, "b/") {
		return rest
	}
	if after, ok := strings.CutPrefix(rest, word); ok && strings.IndexAny(after, "/?") == 0 {
		return strings.TrimPrefix(after, "/")
	}
	return rest
}

// addressForms returns the forms of a key after its bucket, the most likely first. Consoles
// and APIs have it in the query.
func addressForms(rest string) (forms []string) {
	rest, _, _ = strings.Cut(rest, ";tab=")
	key, query, _ := strings.Cut(rest, "?")
	if values, err := url.ParseQuery(query); err == nil {
		for _, name := range []string{"prefix", "name", "path", "key"} {
			if value := values.Get(name); value != "" {
				forms = append(forms, value)
			}
		}
	}
	if key == "" {
		return forms
	}
	if strings.Contains(query, "=") {
		forms = append(forms, key)
	}
	return append(append(forms, withoutVersion(rest)...), consoleForms(key)...)
}

// consoleForms returns what the part of a console's address after the bucket may mean as a key:
// Firebase has files/~2Fdb~2Fk.backup, Cloudflare db%2Fk.backup/details, Scaleway
// explorer/db/k.backup, and MinIO the key in base64.
func consoleForms(text string) (forms []string) {
	if key, ok := strings.CutSuffix(text, "/details"); ok {
		forms = append(forms, key)
	}
	switch word, key, _ := strings.Cut(text, "/"); word {
	case "files", "explorer", "browse":
		forms = append(forms, key, strings.TrimLeft(strings.ReplaceAll(key, "~2F", "/"), "/"))
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err == nil && len(decoded) > 0 && utf8.Valid(decoded) && bytes.IndexFunc(decoded, unicode.IsControl) < 0 {
		forms = append(forms, string(decoded))
	}
	return forms
}

// isNameByte reports whether the name of a bucket may have a byte.
func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_'
}

// decodings returns what an escaped key may mean. S3's event notifications, and forms, write a
// space as "+".
func decodings(key string) (list []string) {
	if !strings.ContainsAny(key, "%+") {
		return nil
	}
	for _, decode := range []func(string) (string, error){url.PathUnescape, url.QueryUnescape} {
		if decoded, err := decode(key); err == nil {
			list = append(list, decoded)
		}
	}
	return list
}

// listSeparators are what may separate several locations in one text.
const listSeparators = ",;|\n"

func isQuoteOrSpace(c rune) bool { return strings.ContainsRune(openQuotes+closeQuotes+" \r\t", c) }

// addParts adds the readings of the locations in a list of some.
func (r *Resolver) addParts(p *places, d *pb.Destination, text string) {
	parts := strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(listSeparators, c) })
	if len(parts) < 2 || len(parts) > maxPlaces/3 {
		return
	}
	for _, part := range parts {
		list, err := r.resolve(d, strings.TrimFunc(part, isQuoteOrSpace), p.folders)
		if err != nil {
			continue // the text may be a key
		}
		for _, place := range list {
			p.add(place)
		}
	}
}

// addFolders adds the folder of each manifest, since a backup that is named by its manifest
// needs the files that the manifest lists, those that patterns name, and those that the readings
// may be. It reports whether a pattern names files of the whole bucket, and of no folder.
func (p *places) addFolders() (whole bool) {
	folders := p.folders && !slices.ContainsFunc(p.list, func(l Place) bool { return l.Prefix || !mayBeFolder(l.Key) })
	bounded := false
	for _, place := range p.list {
		p.add(Place{Bucket: place.Bucket, Key: sentinelOf(place.Key)})
		if place.Prefix {
			continue
		}
		if folder := manifestFolder(place.Key); folder != "" {
			p.add(Place{Bucket: place.Bucket, Key: folder, Prefix: true})
		}
		if pattern := patternAt(place.Key); pattern >= 0 {
			folder := place.Key[:strings.LastIndexByte(place.Key[:pattern], '/')+1]
			p.add(Place{Bucket: place.Bucket, Key: folder, Prefix: true})
			// A name may have a question mark.
			whole, bounded = whole || place.Key[pattern] != '?', bounded || folder != ""
		}
		if folders {
			p.add(Place{Bucket: place.Bucket, Key: place.Key + "/", Prefix: true})
		}
	}
	return whole && !bounded
}

// mayBeFolder reports whether a key may be that of a folder, which most tools write without a
// slash at its end: it has none of the suffixes of files of backups, and is no manifest.
func mayBeFolder(key string) bool {
	_, kind := keyspace.CutSuffix([]byte(key))
	return kind == keyspace.NoSuffix && manifestFolder(key) == ""
}

// patternAt returns where the pattern in a key begins, -1 if it has none. A question mark may
// also begin the query of an address.
func patternAt(key string) int {
	for i := range len(key) {
		switch key[i] {
		case '*', '{':
			return i
		case '?':
			if !strings.Contains(key[i:], "=") {
				return i
			}
		case '[':
			if isClass(key[i+1:]) {
				return i
			}
		}
	}
	return -1
}

// isClass reports whether a text begins with ranges of characters, as in [0-9a-f], and the
// bracket at their end.
func isClass(text string) bool {
	text, _, ok := strings.Cut(strings.TrimLeft(text, "!^"), "]")
	for ; len(text) >= 3; text = text[3:] {
		ok = ok && text[1] == '-'
	}
	return ok && text == ""
}

// openQuotes and closeQuotes surround locations that were copied from texts, or quoted twice.
const openQuotes, closeQuotes = "\"'`<[(", "\"'`>])"

// unquoted returns a location without surrounding blanks, invisible characters and quotes.
func unquoted(text string) string {
	for {
		text = strings.Trim(strings.TrimSpace(text), "\ufeff\u200b\u200e\u2060\x00")
		n := len(text)
		if n <= 2 {
			return text
		}
		if quote := strings.IndexByte(openQuotes, text[0]); quote < 0 || text[n-1] != closeQuotes[quote] {
			return text
		}
		text = text[1 : n-1]
	}
}

// resolveIn is Resolve for one of the files of a record, which may be relative to the folder of
// its storagePath.
func (r *Resolver) resolveIn(first Place, d *pb.Destination, text string) ([]Place, error) {
	list, err := r.resolve(d, text, true)
	folder := first.Key[:strings.LastIndexByte(first.Key, '/')+1]
	if folder == "" || strings.HasPrefix(text, folder) || err != nil {
		return list, err
	}
	if _, _, address := cutScheme(text); address {
		return list, nil
	}
	p := places{own: d.GetBucket(), list: list}
	for _, form := range pathForms(text, unquoted(text)) {
		p.addKey(first.Bucket, folder+strings.TrimLeft(form, "/"))
	}
	return p.list, nil
}

// ResolvePrefix is Resolve for a location that stands for all keys that begin with it.
func (r *Resolver) ResolvePrefix(d *pb.Destination, location []byte) ([]Place, error) {
	base := strings.Trim(d.GetPath(), "/")
	if strings.Trim(string(location), "./ \t\r\n") == "" {
		// The folder of the destination itself; of the whole bucket nothing would be an orphan.
		if base == "" {
			return nil, refuse(CodeInvalid, "%q is the whole bucket: name a folder, or no file of the bucket would ever be an orphan", clip(string(location)))
		}
		return []Place{{Key: base + "/", Prefix: true}}, nil
	}
	list, err := r.resolve(d, string(location), false)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if pattern := patternAt(list[i].Key); pattern > 0 && !list[i].Prefix {
			list = append(list, Place{Bucket: list[i].Bucket, Key: list[i].Key[:pattern], Prefix: true})
		}
		list[i].Prefix = true
	}
	return list, nil
}

// resolvePitr sets the references of a PITR configuration, as ResolveBackup does.
func (r *Resolver) resolvePitr(p *pb.Pitr) error {
	p.References = nil
	d := r.destinations[p.GetStorageId()]
	if d == nil || len(p.GetPrefix()) == 0 {
		return nil
	}
	list, err := r.ResolvePrefix(d, p.GetPrefix())
	if err != nil {
		return err
	}
	if len(list) == 1 && list[0] == (Place{Key: string(p.GetPrefix()), Prefix: true}) {
		return nil
	}
	for _, place := range list {
		p.References = append(p.References, r.references(d, place, pb.Reference_PREFIX)...)
	}
	return nil
}

// A Location is a location that a record names, and what it may mean.
type Location struct {
	Field string // storagePath, files or prefix
	Given string
	// Places are its readings, with the names of their buckets.
	Places []Place
}

// Locations returns the locations of a record and their readings. The error is the one that
// refuses the record, together with the locations before it.
func (r *Resolver) Locations(record *pb.Record) ([]Location, error) {
	var all []Location
	add := func(storageID, field string, given []byte, resolve func(*pb.Destination, []byte) ([]Place, error)) error {
		d := r.destinations[storageID]
		if d == nil {
			return notFound("storage destination", storageID)
		}
		if len(given) == 0 {
			return nil
		}
		list, err := resolve(d, given)
		if err != nil {
			return fmt.Errorf("%s %w", field, err)
		}
		for i := range list {
			list[i].Bucket = cmp.Or(list[i].Bucket, d.GetBucket())
		}
		all = append(all, Location{field, string(given), list})
		return nil
	}
	switch k := record.GetKind().(type) {
	case *pb.Record_Backup:
		err := add(k.Backup.GetStorageId(), "storagePath", k.Backup.GetStoragePath(), r.Resolve)
		var first Place
		if len(all) > 0 {
			first = all[0].Places[0]
		}
		for _, f := range k.Backup.GetFiles() {
			err = errors.Join(err, add(k.Backup.GetStorageId(), "files", f, func(d *pb.Destination, f []byte) ([]Place, error) {
				return r.resolveIn(first, d, string(f))
			}))
		}
		return all, err
	case *pb.Record_Pitr:
		err := add(k.Pitr.GetStorageId(), "prefix", k.Pitr.GetPrefix(), r.ResolvePrefix)
		return all, err
	case *pb.Record_Schedule:
		return all, add(k.Schedule.GetStorageId(), "", nil, r.Resolve)
	}
	return all, nil
}
