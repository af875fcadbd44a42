package catalog

import (
	"bytes"
	"encoding/binary"
	"iter"
	"strings"

	"go.etcd.io/bbolt"

	"firescan/keyspace"
)

// The bbolt buckets. Keys of several parts are joined by 0x00, which no id may contain;
// only the last part may be arbitrary bytes. An index bucket has empty values unless a
// value is named.
const (
	inMeta = "meta" // see the keys below

	inDestinations         = "destinations"           // id → Destination
	inDestinationsByOrg    = "destinations-by-org"    // org, id
	inDestinationsByBucket = "destinations-by-bucket" // bucket identity, id
	inTombstones           = "tombstones"             // org, id → Destination, deleted while records name it
	inHomes                = "homes"                  // org, destination, bucket identity
	inCounters             = "counters"               // org, destination → Counters

	inProjects    = "projects"     // org, id → Project
	inBackups     = "backups"      // a bucket per org, destination: id → Backup
	inBackupIDs   = "backup-ids"   // a bucket per org: id → destination
	inStrays      = "strays"       // a bucket per org, destination: id of a backup (see isStray)
	inSchedules   = "schedules"    // a bucket per org, destination: id → Schedule
	inScheduleIDs = "schedule-ids" // a bucket per org: id → destination
	inPitrs       = "pitrs"        // a bucket per org, destination: id → Pitr
	inPitrIDs     = "pitr-ids"     // a bucket per org: id → destination

	inLinks          = "links"            // a bucket per bucket identity: link key → storage id, CRC-32C
	inDeltas         = "deltas"           // a bucket per bucket identity: log index → Delta
	inPrefixes       = "prefixes"         // bucket identity, org, pitr, prefix → CRC-32C
	inPrefixesByPitr = "prefixes-by-pitr" // org, pitr, bucket identity, prefix
	inProofs         = "proofs"           // bucket identity, destination → AccessProof, CRC-32C

	inSyncs              = "syncs"                // id → Sync
	inSyncsByOrg         = "syncs-by-org"         // org, id
	inSyncsByDestination = "syncs-by-destination" // org, destination, id
	inRunning            = "running"              // destination → id of its running sync
	inSegments           = "segments"             // sync, start → Segment
	inGenerations        = "generations"          // destination → Generation
	inHolders            = "holders"              // destination, node, generation

	inIntents              = "intents"                // org, id → Intent
	inIntentsByDestination = "intents-by-destination" // destination, id
	inMarks                = "marks"                  // a bucket per bucket identity: object key → org, intent
	inAudit                = "audit"                  // org, id of the intent → Audit

	// These two exist since the first RecordAudit: older states have no such bucket.
	inTrail     = "trail"      // org, id → AuditEntry
	inTrailSize = "trail-size" // org, nothing → uint64 entries, uint64 bytes

	inAnswers       = "answers"         // org, idempotency key → Answer
	inAnswersByTime = "answers-by-time" // time, org, idempotency key; nothing between the first two

	inFeeds   = "feeds"          // org → FeedState
	inChanges = "record-changes" // org, destination → uint64

	inTokens       = "tokens"         // id → Token
	inTokensByHash = "tokens-by-hash" // hash → id
)

// buckets returns every top-level bucket. Open creates missing ones.
func buckets() []string {
	return []string{
		inMeta, inDestinations, inDestinationsByOrg, inDestinationsByBucket, inTombstones, inHomes, inCounters,
		inProjects, inBackups, inBackupIDs, inStrays, inSchedules, inScheduleIDs, inPitrs, inPitrIDs,
		inLinks, inDeltas, inPrefixes, inPrefixesByPitr, inProofs,
		inSyncs, inSyncsByOrg, inSyncsByDestination, inRunning, inSegments, inGenerations, inHolders,
		inIntents, inIntentsByDestination, inMarks, inAudit, inAnswers, inAnswersByTime,
		inFeeds, inChanges, inTokens, inTokensByHash,
	}
}

// The keys of the meta bucket.
const (
	metaFormat  = "format"  // uint32
	metaApplied = "applied" // uint64 index, uint64 term
	metaKeyset  = "keyset"
	// metaChecksums exists while links get checksums: the identity of a bucket, and the key of
	// its last link that has one.
	metaChecksums = "checksums-until"
	// metaRelation is followed by two bucket identities, the lesser one first. They are few.
	metaRelation = "bucket-relation" // → BucketRelation, CRC-32C
	// metaProofs exists since the first ProveAccess: from then on, proofs decide.
	metaProofs = "proofs"
	// metaRootMade exists since the first root token: none is made again.
	metaRootMade = "root-token-made"
)

// formatVersion is the version of the file layout and of snapshots of it.
const formatVersion = 3

// A bucketPath names a bucket inside a bucket; without nested, a top-level bucket.
type bucketPath struct{ bucket, nested string }

// join returns a key of several parts.
func join(parts ...string) []byte {
	return []byte(strings.Join(parts, "\x00"))
}

// under returns the prefix of all keys that begin with these parts.
func under(parts ...string) []byte {
	return append(join(parts...), 0)
}

// scan yields the pairs of b whose key begins with prefix, in order and without the
// prefix. Keys and values are memory of bbolt. b may be nil.
func scan(b *bbolt.Bucket, prefix []byte) iter.Seq2[[]byte, []byte] {
	return scanAfter(b, prefix, "")
}

// scanAfter is scan from the first key whose rest is greater than after.
func scanAfter(b *bbolt.Bucket, prefix []byte, after string) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		if b == nil {
			return
		}
		c, from := b.Cursor(), append(bytes.Clone(prefix), after...)
		k, v := c.Seek(from)
		if after != "" && bytes.Equal(k, from) {
			k, v = c.Next()
		}
		for ; k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if !yield(k[len(prefix):], v) {
				return
			}
		}
	}
}

// scanBefore yields in descending order, from the greatest key whose rest is less than
// before (empty: from the last).
func scanBefore(b *bbolt.Bucket, prefix []byte, before string) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		end := keyspace.PrefixEnd(prefix)
		if before != "" {
			end = append(bytes.Clone(prefix), before...)
		}
		c := b.Cursor()
		var k, v []byte
		if k, _ = c.Seek(end); k == nil || len(end) == 0 {
			k, v = c.Last()
		} else {
			k, v = c.Prev()
		}
		for ; k != nil && bytes.HasPrefix(k, prefix); k, v = c.Prev() {
			if !yield(k[len(prefix):], v) {
				return
			}
		}
	}
}

// keysOf returns copies of the rests of the keys under a prefix, for loops that change
// the bucket that they iterate.
func keysOf(b *bbolt.Bucket, prefix []byte) []string {
	var keys []string
	for k := range scan(b, prefix) {
		keys = append(keys, string(k))
	}
	return keys
}

// drop deletes every pair whose key begins with prefix.
func drop(b *bbolt.Bucket, prefix []byte) error {
	for _, k := range keysOf(b, prefix) {
		if err := b.Delete(append(bytes.Clone(prefix), k...)); err != nil {
			return err
		}
	}
	return nil
}

func index8(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
