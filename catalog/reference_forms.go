package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	pb "firescan/catalog/catalogpb"
)

// Forms of locations that backup tools, SDKs and consoles write, beyond addresses and plain
// paths. docs/references.md lists all of them with their sources.

// consolePaths are what stands before the bucket in addresses of consoles and APIs.
var consolePaths = []string{
	"storage/browser/_details/", "storage/browser/", // Google Cloud console
	"s3/buckets/", "s3/object/", // AWS console
	"browser/", "minio/", // MinIO console and old browser
}

// addConsole adds the readings of the path and query of a console's address.
func (r *Resolver) addConsole(target, query string, add func(bucket, key string)) {
	for _, before := range consolePaths {
		rest, ok := strings.CutPrefix(target, before)
		if !ok {
			continue
		}
		rest, _, _ = strings.Cut(rest, ";")
		bucket, key, _ := strings.Cut(rest, "/")
		if values, err := url.ParseQuery(query); err == nil && key == "" {
			key = values.Get("prefix")
		}
		add(bucket, key)
	}
}

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

// addResource adds the reading of a resource name of Google: projects/_/buckets/B/objects/K.
func (r *Resolver) addResource(p *places, text string) {
	_, after, ok := strings.Cut("/"+text, "/buckets/")
	if !ok {
		return
	}
	if bucket, key, ok := strings.Cut(after, "/objects/"); ok && len(r.buckets[bucket]) > 0 {
		p.addKey(bucket, key)
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
	if strings.ContainsAny(clean, "%+") { // S3's event notifications write a space as "+"
		if decoded, err := url.PathUnescape(clean); err == nil {
			forms = append(forms, decoded)
		}
		if decoded, err := url.QueryUnescape(clean); err == nil {
			forms = append(forms, decoded)
		}
	}
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

// addManifests adds the folder of each manifest: a backup that is named by its manifest
// needs the files that the manifest lists.
func (p *places) addManifests() {
	for _, place := range p.list {
		if folder := manifestFolder(place.Key); folder != "" && !place.Prefix {
			p.add(Place{Bucket: place.Bucket, Key: folder, Prefix: true})
		}
	}
}

// manifestFolder returns the folder of the files that a manifest lists; empty when the key is
// not that of a manifest, or its folder is the whole bucket.
func manifestFolder(key string) string {
	slash := strings.LastIndexByte(key, '/') + 1
	switch name := key[slash:]; name {
	case "backup.manifest", "backup_manifest", "backup.info", "BACKUP_MANIFEST", ".backup", "velero-backup.json":
		return key[:slash]
	default:
		if strings.HasSuffix(name, ".overall_export_metadata") {
			return key[:slash]
		}
		if data, ok := strings.CutSuffix(name, "_backup_stop_sentinel.json"); ok && data != "" {
			return key[:slash] + data + "/"
		}
	}
	return ""
}

// unquoted returns a location without surrounding blanks and quotes.
func unquoted(text string) string {
	text = strings.Trim(strings.TrimSpace(text), "\ufeff\x00")
	if n := len(text); n > 2 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		return text[1 : n-1]
	}
	return text
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
	list, err := r.Resolve(d, location)
	if err != nil {
		return nil, err
	}
	for i := range list {
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
		for _, f := range k.Backup.GetFiles() {
			err = errors.Join(err, add(k.Backup.GetStorageId(), "files", f, r.Resolve))
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
