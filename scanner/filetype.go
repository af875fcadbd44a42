package scanner

import (
	"bytes"

	"firescan/index"
)

// fileTypes tells the type of a file by the end of its name.
var fileTypes = []struct {
	suffix string
	typ    index.Type
}{
	{".backup", index.Backup},
	{".meta", index.Meta},
	{".meta.json", index.Meta},
	{".auth", index.Auth},
	{".auth.json", index.Auth},
}

// wrappers may follow any of the fileTypes, also one another.
var wrappers = [][]byte{[]byte(".gz"), []byte(".zst"), []byte(".enc")}

var (
	pitrFolder = []byte("/pitr/")
	pitrStart  = pitrFolder[1:]
	pitrEnd    = pitrFolder[:5]
)

// typeOf tells what a key is by its name, and whether it lies under one of the
// prefixes that PITR configurations write, which links it.
func typeOf(key []byte, pitr [][]byte) (typ index.Type, linked bool) {
	for _, p := range pitr {
		if bytes.HasPrefix(key, p) {
			return index.Pitr, true
		}
	}
	if bytes.Contains(key, pitrFolder) || bytes.HasPrefix(key, pitrStart) || bytes.HasSuffix(key, pitrEnd) {
		return index.Pitr, false
	}
	for i := 0; i < len(wrappers); i++ {
		if bytes.HasSuffix(key, wrappers[i]) {
			key = key[:len(key)-len(wrappers[i])]
			i = -1
		}
	}
	for _, t := range fileTypes {
		if n := len(key) - len(t.suffix); n >= 0 && string(key[n:]) == t.suffix {
			return t.typ, false
		}
	}
	return index.Unknown, false
}
