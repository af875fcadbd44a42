package index

import "bytes"

// fileTypes maps the end of a file's name to its type.
var fileTypes = []struct {
	suffix string
	typ    Type
}{
	{".backup", Backup},
	{".meta", Meta},
	{".meta.json", Meta},
	{".auth", Auth},
	{".auth.json", Auth},
}

// wrappers may follow any of the fileTypes, also one another.
var wrappers = [][]byte{[]byte(".gz"), []byte(".zst"), []byte(".enc")}

var (
	pitrFolder = []byte("/pitr/")
	pitrStart  = pitrFolder[1:]
	pitrEnd    = pitrFolder[:5]
)

// TypeOf returns the type of a file by its key, and reports whether the key lies under
// one of the prefixes that PITR configurations write, which links the file.
func TypeOf(key []byte, pitr [][]byte) (typ Type, linked bool) {
	for _, p := range pitr {
		if bytes.HasPrefix(key, p) {
			return Pitr, true
		}
	}
	if bytes.Contains(key, pitrFolder) || bytes.HasPrefix(key, pitrStart) || bytes.HasSuffix(key, pitrEnd) {
		return Pitr, false
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
	return Unknown, false
}
