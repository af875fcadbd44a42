package catalog

import (
	"bytes"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// maxPlaces bounds the interpretations of one location.
const maxPlaces = 48

// A Place is where a location may point: an object, or all objects below a prefix.
type Place struct {
	// Bucket is the name of the bucket; empty is the bucket of the record's destination.
	Bucket string
	Key    string
	// Prefix reports that all keys that begin with Key are meant.
	Prefix bool
}

// A Resolver turns the locations that backup records name into places. Backup tools write
// the same object as a bare key, with a leading slash, relative to the destination's path,
// as bucket/key, as s3:// or gs:// address, as URL in one of several styles, and more. It
// returns every plausible reading, because a reading too many protects a file too many,
// and one too few deletes a needed file. A Resolver is safe for concurrent use.
type Resolver struct {
	// buckets maps the bucket names of the organization to the ids of the buckets.
	buckets      map[string][]string
	destinations map[string]*pb.Destination
}

// NewResolver returns a resolver for the destinations of an organization (see
// Tx.KnownDestinations).
func NewResolver(destinations []*pb.Destination) *Resolver {
	r := &Resolver{buckets: map[string][]string{}, destinations: map[string]*pb.Destination{}}
	for _, d := range destinations {
		r.destinations[d.GetId()] = d
		r.addBucket(d)
		for _, p := range d.GetPlaces() {
			r.addBucket(settingsAt(d, p))
		}
	}
	return r
}

func (r *Resolver) addBucket(d *pb.Destination) {
	if id := BucketID(d); !slices.Contains(r.buckets[d.GetBucket()], id) {
		r.buckets[d.GetBucket()] = append(r.buckets[d.GetBucket()], id)
	}
}

// ResolveBackup sets the references of a record, and the revision of its destination; a record
// whose paths have one reading only needs no references. The error is that of Resolve. A record of an unknown destination is left as it
// is: the catalog refuses it.
func (r *Resolver) ResolveBackup(b *pb.Backup) error {
	b.References = nil
	d := r.destinations[b.GetStorageId()]
	if d == nil {
		return nil
	}
	b.Revision = d.GetRevision()
	locations := slices.Concat([][]byte{b.GetStoragePath()}, b.GetFiles())
	readings, plain := make([][]Place, len(locations)), true
	var first Place // the most likely reading of the storagePath
	for i, location := range locations {
		if len(location) == 0 {
			continue
		}
		list, err := r.resolveIn(first, d, string(location))
		if err != nil {
			return err
		}
		if i == 0 {
			first = list[0]
		}
		readings[i] = list
		plain = plain && len(list) == 1 && list[0] == Place{Key: string(location)}
	}
	if plain {
		return nil
	}
	for i, list := range readings {
		kind, alias := pb.Reference_FILE, pb.Reference_FILE_ALIAS
		if i == 0 {
			kind, alias = pb.Reference_PATH, pb.Reference_ALIAS
		}
		for _, p := range primaryFirst(d, list) {
			for _, ref := range r.references(d, p, kind) {
				ref.Location = uint32(i + 1)
				b.References = append(b.References, ref)
			}
			kind = alias
		}
	}
	return nil
}

// BackupKeys returns the keys of a record's objects in the bucket of its destination, each in
// its most likely reading: that of its storage path, nil when it has none there, and those of
// its files.
func BackupKeys(b *pb.Backup) (path []byte, files [][]byte) {
	if len(b.GetReferences()) == 0 {
		return b.GetStoragePath(), b.GetFiles()
	}
	for _, ref := range b.GetReferences() {
		switch {
		case ref.GetBucketId() != "":
		case ref.GetKind() == pb.Reference_PATH:
			path = ref.GetKey()
		case ref.GetKind() == pb.Reference_FILE:
			files = append(files, ref.GetKey())
		}
	}
	return path, files
}

// ResolveRecord sets the references of a record of any kind (see ResolveBackup).
func (r *Resolver) ResolveRecord(record *pb.Record) error {
	if b := record.GetBackup(); b != nil {
		return r.ResolveBackup(b)
	}
	if p := record.GetPitr(); p != nil {
		return r.resolvePitr(p)
	}
	return nil
}

// primaryFirst returns list with the reading first that names an object of the destination,
// under a name that its server is not known to list otherwise.
func primaryFirst(d *pb.Destination, list []Place) []Place {
	names := func(p Place) bool { return p.Bucket == "" && !p.Prefix && inSpace(d, []byte(p.Key)) }
	at := slices.IndexFunc(list, func(p Place) bool { return names(p) && isListable(d.GetKeyMapping(), p.Key) })
	if at < 0 {
		at = slices.IndexFunc(list, names)
	}
	if at <= 0 {
		return list
	}
	return slices.Concat(list[at:at+1], list[:at], list[at+1:])
}

// references returns a place as references of a kind, one for each bucket of that name.
func (r *Resolver) references(d *pb.Destination, p Place, kind pb.Reference_Kind) (refs []*pb.Reference) {
	if p.Prefix {
		kind = pb.Reference_PREFIX
	}
	own := BucketID(d)
	ids := []string{own}
	if p.Bucket != "" {
		ids = r.buckets[p.Bucket]
	}
	for _, id := range ids {
		if id == own {
			id = ""
		}
		refs = append(refs, &pb.Reference{Kind: kind, Key: []byte(p.Key), BucketId: id})
	}
	return refs
}

// Resolve returns the places that a location of a record in destination d may mean, the most
// likely first. The error is an *Error of code CodeUnresolved when it names a bucket that no
// destination of the organization has.
func (r *Resolver) Resolve(d *pb.Destination, location []byte) ([]Place, error) {
	return r.resolve(d, string(location), true)
}

// resolve is Resolve. With folders, a location may be a folder although it has no slash at
// its end.
func (r *Resolver) resolve(d *pb.Destination, text string, folders bool) ([]Place, error) {
	if r.isPlainKey(d, text) && !(folders && mayBeFolder(text)) {
		return []Place{{Key: text}}, nil
	}
	p := places{own: d.GetBucket(), folders: folders}
	trimmed := unquoted(text)
	switch scheme, rest, ok := cutScheme(trimmed); {
	case ok && (scheme == "http" || scheme == "https"):
		r.addURL(&p, rest)
	case ok:
		r.addAddress(&p, rest)
	case strings.HasPrefix(trimmed, "arn:"):
		if parts := strings.SplitN(trimmed, ":", 6); len(parts) == 6 {
			r.addAddress(&p, parts[5])
		}
	default:
		if isAddress(trimmed) {
			r.addAfterBuckets(&p, trimmed)
		}
		r.addPath(&p, d, text, trimmed)
		r.addAfterBuckets(&p, trimmed)
		r.addParts(&p, d, trimmed)
		if whole := p.addFolders(); whole && folders {
			return nil, wholeBucket(text)
		}
		p.addUnicode()
		return p.list, nil
	}
	r.addAfterBuckets(&p, trimmed)
	r.addParts(&p, d, trimmed)
	if len(p.list) == 0 && p.whole {
		return nil, wholeBucket(text)
	}
	if len(p.list) == 0 {
		return nil, refuse(CodeUnresolved, "%q is in no bucket of the organization: create a storage destination for its bucket, or correct it", clip(text))
	}
	if whole := p.addFolders(); whole && folders {
		return nil, wholeBucket(text)
	}
	p.add(Place{Key: text}) // an object may have such a key
	p.addUnicode()
	return p.list, nil
}

func wholeBucket(text string) error {
	return refuse(CodeUnresolved, "%q is a whole bucket: name an object or a folder in it", clip(text))
}

// isAddress reports whether a location without a scheme is most likely no key: it begins with a
// host and port, with the host of a provider, or is a resource name of Cloud Storage,
// //storage.googleapis.com/projects/_/buckets/BUCKET/objects/KEY, also without its host.
// https://cloud.google.com/asset-inventory/docs/asset-names
func isAddress(text string) bool {
	host, _, _ := strings.Cut(strings.TrimPrefix(text, "//"), "/")
	_, port, _ := strings.Cut(host, ":")
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil || strings.HasPrefix(text, "projects/_/buckets/") ||
		strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, "storage.googleapis.com")
}

// isPlainKey reports whether a location has one reading only: a key below the path of the
// destination, in the form in which objects are listed.
func (r *Resolver) isPlainKey(d *pb.Destination, text string) bool {
	if text == "" || text[0] == '/' || text[len(text)-1] == '/' || text[0] <= ' ' || text[len(text)-1] <= ' ' ||
		strings.IndexByte(openQuotes, text[0]) >= 0 || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") ||
		strings.HasSuffix(text, "/.") || strings.HasSuffix(text, "/..") ||
		manifestFolder(text) != "" || sentinelOf(text) != "" {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case strings.IndexByte(`%\:+?#*{[`+listSeparators, c) >= 0 || c >= utf8.RuneSelf:
			return false
		case c == '/' && (text[i+1] == '/' || strings.HasPrefix(text[i+1:], "./") || strings.HasPrefix(text[i+1:], "../")):
			return false
		}
	}
	prefix := strings.Trim(d.GetPath(), "/")
	if prefix != "" && !strings.HasPrefix(text, prefix+"/") || mayBeBelowPlace(d, text) {
		return false
	}
	for range r.afterBuckets(text) {
		return false
	}
	return true
}

// cutScheme splits "scheme://rest".
func cutScheme(text string) (scheme, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(text, "://")
	if !ok || scheme == "" {
		return "", "", false
	}
	for _, c := range scheme {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.' {
			return "", "", false
		}
	}
	return strings.ToLower(scheme), rest, true
}

// addAddress adds the readings of "bucket/key", as in s3://bucket/key, gs://bucket/key#1 and
// arn:aws:s3:::bucket/key.
func (r *Resolver) addAddress(p *places, rest string) {
	bucket, key, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(bucket, '@'); at >= 0 { // credentials in the address
		bucket = bucket[at+1:]
	}
	if len(r.buckets[bucket]) == 0 {
		if isHost(bucket) { // s3://host/bucket/key of duplicity and others
			r.addURL(p, rest)
		}
		return
	}
	for _, form := range withoutVersion(key) {
		p.addKey(bucket, form)
	}
}

// addURL adds the usual readings of a URL after its scheme: with the bucket as first segment,
// or as part of the host.
func (r *Resolver) addURL(p *places, rest string) {
	host, target, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	target, _, _ = strings.Cut(target, "#")
	target, _, _ = strings.Cut(target, "?")
	add := func(bucket, key string) {
		if decoded, err := url.PathUnescape(bucket); err == nil {
			bucket = decoded
		}
		if len(r.buckets[bucket]) > 0 {
			if decoded, err := url.PathUnescape(key); err == nil {
				p.addKey(bucket, decoded)
			}
			p.addKey(bucket, key)
		}
	}
	host = strings.ToLower(host)
	if name, _, ok := strings.Cut(host, ":"); ok {
		host = name
	}
	for i := len(host); i > 0; i = strings.LastIndexByte(host[:i], '.') { // names may have dots
		add(host[:i], target)
	}
	trimmed := strings.TrimLeft(target, "/")
	bucket, key, _ := strings.Cut(trimmed, "/")
	add(bucket, key)
}

// mayBeBelowPlace reports whether a key may be relative to an earlier path of a destination.
func mayBeBelowPlace(d *pb.Destination, key string) bool {
	return slices.ContainsFunc(d.GetPlaces(), func(p *pb.Place) bool { return isRelative(d, p, key) })
}

// isRelative reports whether a key may be relative to an earlier path of a destination: it
// begins neither with that one nor with the present one.
func isRelative(d *pb.Destination, p *pb.Place, key string) bool {
	now, then := strings.Trim(d.GetPath(), "/"), strings.Trim(p.GetPath(), "/")
	return then != "" && then != now && !strings.HasPrefix(key, then+"/") && (now == "" || !strings.HasPrefix(key, now+"/"))
}

// addPath adds the readings of a location without a scheme.
func (r *Resolver) addPath(p *places, d *pb.Destination, text, trimmed string) {
	forms := pathForms(text, trimmed)
	r.addColon(p, trimmed)
	base := strings.Trim(d.GetPath(), "/")
	for _, form := range forms { // bucket/key: few keys begin with the name of their bucket
		if bucket, key, ok := strings.Cut(strings.TrimLeft(form, "/"), "/"); ok && len(r.buckets[bucket]) > 0 {
			p.addKey(bucket, key)
		}
	}
	var outside []string // of the destination's path: less likely
	for _, form := range forms {
		switch {
		case base == "" || strings.HasPrefix(form, base+"/"):
			p.addKey("", form)
		default:
			p.addKey("", base+"/"+strings.TrimLeft(form, "/"))
			outside = append(outside, form)
		}
	}
	for _, form := range outside {
		p.addKey("", form)
	}
	for _, place := range slices.Backward(d.GetPlaces()) {
		for _, form := range forms {
			if isRelative(d, place, form) {
				p.addKey(place.GetBucket(), strings.Trim(place.GetPath(), "/")+"/"+strings.TrimLeft(form, "/"))
			}
		}
	}
}

// places collects distinct readings.
type places struct {
	own     string // the name of the destination's bucket
	list    []Place
	whole   bool // a bucket was named without a key
	folders bool // a name without a slash at its end may be a folder
}

// addKey adds a key and the name that servers may list it under; one that ends in a slash is
// a prefix.
func (p *places) addKey(bucket, key string) {
	p.whole = p.whole || key == "" && bucket != ""
	for _, form := range []string{key, keyspace.Fold(key)} {
		p.add(Place{Bucket: bucket, Key: form, Prefix: strings.HasSuffix(form, "/")})
	}
}

// addUnicode adds the composed and decomposed forms of all readings. They link no more files
// than the fold of the key does, but they let a change of the record find them in the index.
func (p *places) addUnicode() {
	for _, place := range slices.Clone(p.list) {
		for _, form := range []string{norm.NFC.String(place.Key), norm.NFD.String(place.Key)} {
			place.Key = form
			p.add(place)
		}
	}
}

func (p *places) add(place Place) {
	if place.Bucket == p.own {
		place.Bucket = ""
	}
	if place.Key == "" || place.Key == "/" || len(place.Key) > maxKey || len(p.list) >= maxPlaces && !place.Prefix || slices.Contains(p.list, place) {
		return
	}
	p.list = append(p.list, place)
}

// inSpace reports whether a key is below the path of a destination.
func inSpace(d *pb.Destination, key []byte) bool {
	start, end := KeySpace(d)
	return bytes.Compare(key, start) >= 0 && keyspace.BeforeEnd(key, end)
}
