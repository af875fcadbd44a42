package index

import (
	"bytes"

	"firescan/keyspace"
)

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
	switch _, suffix := keyspace.CutSuffix(key); suffix {
	case keyspace.BackupSuffix:
		return Backup, false
	case keyspace.MetaSuffix:
		return Meta, false
	case keyspace.AuthSuffix:
		return Auth, false
	}
	return Unknown, false
}
