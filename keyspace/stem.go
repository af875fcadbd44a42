package keyspace

import (
	"bytes"
	"fmt"
	"strings"
)

// Stem returns the part of an object key up to the first '.' of its last path segment, or
// all of it. Files of one backup share a stem. The result aliases key. Stems of ascending
// keys need not ascend: "a-b.x" sorts before "a.x".
func Stem(key []byte) []byte {
	name := bytes.LastIndexByte(key, '/') + 1
	if dot := bytes.IndexByte(key[name:], '.'); dot >= 0 {
		return key[:name+dot]
	}
	return key
}

// A StemRule decides which files share the stem of a backup.
type StemRule uint8

// The rules. The numbers are stored.
const (
	// FirstDot cuts a key at the first '.' of its last path segment, as Stem does.
	FirstDot StemRule = iota
	// KnownSuffix cuts the known suffixes only. Its stem begins with that of FirstDot, so of
	// the files that share a stem by FirstDot it takes some.
	KnownSuffix
)

// Stem returns the stem of an object key by the rule. The result aliases key.
func (r StemRule) Stem(key []byte) []byte {
	if r != KnownSuffix {
		return Stem(key)
	}
	for {
		rest, suffix := CutSuffix(key)
		if suffix == NoSuffix {
			return rest
		}
		key = rest
	}
}

// String returns the name that the API shows.
func (r StemRule) String() string {
	if r == KnownSuffix {
		return "knownSuffix"
	}
	return "firstDot"
}

// ParseStemRule parses a name as String writes it, in any case.
func ParseStemRule(s string) (StemRule, error) {
	for _, r := range []StemRule{FirstDot, KnownSuffix} {
		if strings.EqualFold(s, r.String()) {
			return r, nil
		}
	}
	return FirstDot, fmt.Errorf("no stem rule %q (one of %s, %s)", s, FirstDot, KnownSuffix)
}

// A Suffix is the kind of a known suffix.
type Suffix uint8

// The kinds of known suffixes.
const (
	NoSuffix Suffix = iota
	BackupSuffix
	MetaSuffix
	AuthSuffix
)

// suffixes are the known ends of keys.
var suffixes = []struct {
	text string
	kind Suffix
}{
	{".backup", BackupSuffix},
	{".meta", MetaSuffix},
	{".meta.json", MetaSuffix},
	{".auth", AuthSuffix},
	{".auth.json", AuthSuffix},
}

// wrappers may follow any of the suffixes, also one another.
var wrappers = [][]byte{[]byte(".gz"), []byte(".zst"), []byte(".enc")}

// CutSuffix returns a key without the wrappers at its end and the known suffix before them.
// The kind is NoSuffix if it ends otherwise.
func CutSuffix(key []byte) (rest []byte, kind Suffix) {
	for i := 0; i < len(wrappers); i++ {
		if bytes.HasSuffix(key, wrappers[i]) {
			key = key[:len(key)-len(wrappers[i])]
			i = -1
		}
	}
	for _, s := range suffixes {
		if n := len(key) - len(s.text); n >= 0 && string(key[n:]) == s.text {
			return key[:n], s.kind
		}
	}
	return key, NoSuffix
}
