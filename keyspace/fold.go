package keyspace

import (
	"bytes"
	"encoding/binary"
	"path"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Some servers keep an object under another name than the one it was stored with, and still
// serve it under the latter. MinIO drops leading slashes; SeaweedFS also repeated ones, and
// turns a backslash into a slash; servers on file systems resolve "." and "..", or do not
// distinguish the composed and decomposed forms of Unicode. Two keys with the same Fold may
// be one object on such a server.

// Fold returns the name that all keys share which any such server may take for key. Folding
// errs towards more: it applies the changes of all of them at once. It keeps a slash at the
// end, with which a prefix ends.
func Fold[K Key](key K) K {
	if !folds([]byte(key)) {
		return key
	}
	text := norm.NFC.String(strings.ReplaceAll(string(key), `\`, "/"))
	clean := strings.TrimLeft(path.Clean("/"+text), "/")
	if clean != "" && (strings.HasSuffix(text, "/") || strings.HasSuffix(text, "/.")) {
		clean += "/"
	}
	return K(clean)
}

// Folded returns Fold(key), and whether it is another, usable key.
func Folded(key []byte) (fold []byte, other bool) {
	if !folds(key) {
		return key, false
	}
	fold = Fold(key)
	return fold, len(fold) > 0 && !bytes.Equal(fold, key)
}

// folds reports whether Fold may change key. Lists of files call it for each orphan.
func folds(key []byte) bool {
	if len(key) == 0 {
		return false
	}
	if key[0] == '/' || bytes.IndexByte(key, '\\') >= 0 || !isASCII(key) {
		return true
	}
	for rest := key; ; { // segments that are empty, "." or ".."
		if len(rest) > 0 && (rest[0] == '/' || rest[0] == '.' && isDots(rest)) {
			return true
		}
		i := bytes.IndexByte(rest, '/')
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
	}
}

// isDots reports whether the first segment of rest is "." or "..".
func isDots(rest []byte) bool {
	rest = rest[1:]
	if len(rest) > 0 && rest[0] == '.' {
		rest = rest[1:]
	}
	return len(rest) == 0 || rest[0] == '/'
}

func isASCII(key []byte) bool {
	for ; len(key) >= 8; key = key[8:] {
		if binary.LittleEndian.Uint64(key)&0x8080808080808080 != 0 {
			return false
		}
	}
	for _, c := range key {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
