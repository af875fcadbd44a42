package catalog

import (
	"crypto/rand"
	"strings"

	"github.com/oklog/ulid/v2"
)

// Kind is what an id names; it is the id's prefix.
type Kind string

// The kinds of ids that firescan makes. Ids of projects, backups, schedules and
// PITR configurations come from the services that own them.
const (
	KindStorage Kind = "storage"
	KindSync    Kind = "sync"
	KindSegment Kind = "seg"
	KindToken   Kind = "tok"
	KindIntent  Kind = "del"
)

// NewID makes an id: the kind, "_" and a ULID in lower case. Ids of one kind
// sort by the millisecond of their making. Safe for concurrent use.
func NewID(kind Kind) string {
	id := ulid.MustNew(ulid.Now(), rand.Reader)
	return string(kind) + "_" + strings.ToLower(id.String())
}
