package catalog

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"firescan/keyspace"
)

// checkLinkKeys holds two links' keys against what they were made of.
func checkLinkKeys(t interface {
	Fatalf(format string, args ...any)
}, a, b []byte, kind LinkKind, org, id string,
) {
	key := linkKey(kind, org, id, a)
	var r linkReader
	if err := r.read(key, withChecksum(nil, 0, key, []byte("storage"))); err != nil {
		t.Fatalf("%q: %v", a, err)
	}
	l := r.link
	if !bytes.Equal(l.Path, a) || !bytes.Equal(l.Stem, keyspace.Stem(a)) || l.Kind != kind || string(l.Org) != org ||
		string(l.BackupID) != id || string(l.StorageID) != "storage" {
		t.Fatalf("%q came back as %+v", a, l)
	}
	other := linkKey(kind, org, id, b)
	if want := bytes.Compare(keyspace.Stem(a), keyspace.Stem(b)); want != 0 && bytes.Compare(key, other) != want {
		t.Fatalf("keys of stems %q and %q sort the other way", keyspace.Stem(a), keyspace.Stem(b))
	}
	if bytes.Equal(key, other) != bytes.Equal(a, b) {
		t.Fatalf("paths %q and %q: keys %q and %q", a, b, key, other)
	}
	seek := appendStem(nil, keyspace.Stem(a))
	if !bytes.HasPrefix(key, seek) || bytes.Compare(keyspace.Stem(b), keyspace.Stem(a)) < 0 && bytes.Compare(other, seek) >= 0 {
		t.Fatalf("seeking %q misses its links, or finds those of %q", keyspace.Stem(a), keyspace.Stem(b))
	}
}

func TestLinkKey(t *testing.T) {
	part := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, '.', '/', 'a', 'b', 0xfe, 0xff}), 0, 6)
	id := rapid.StringMatching(`[a-c\x01]{1,3}`)
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]LinkKind{LinkPath, LinkFile}).Draw(t, "kind")
		checkLinkKeys(t, part.Draw(t, "a"), part.Draw(t, "b"), kind, id.Draw(t, "org"), id.Draw(t, "id"))
	})
}

func FuzzLinkKey(f *testing.F) {
	f.Add([]byte("backups/a.backup"), []byte("backups/a\x00.backup"))
	f.Add([]byte("\x00\xff\x00\x01"), []byte("\x00\x01\x00"))
	f.Add([]byte(""), []byte("."))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		checkLinkKeys(t, a, b, LinkPath, "org", "id")
		checkLinkKeys(t, b, a, LinkFile, "o", "i")
		var r linkReader
		_ = r.read(a, b) // whatever it is: no panic
	})
}

func TestDamagedLinkKeys(t *testing.T) {
	good := linkKey(LinkFile, "org", "id", []byte("a\x00b.c"))
	for n := range good[:len(good)-len(".c")] {
		var r linkReader
		if err := r.read(good[:n], withChecksum(nil, 0, good[:n], nil)); err == nil {
			t.Errorf("read %q as %+v", good[:n], r.link)
		}
	}
	var r linkReader
	for what, key := range map[string]string{
		"of an unknown kind": "a\x00\x01\x09org\x00id\x00", "with a wrong escape": "a\x00\x02\x01org\x00id\x00",
	} {
		if err := r.read([]byte(key), withChecksum(nil, 0, []byte(key), nil)); err == nil {
			t.Errorf("read a link %s", what)
		}
	}
}
