package catalog

import (
	"bytes"
	"encoding/binary"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// maxEntrySize bounds an audit entry in bytes.
const maxEntrySize = 2048

// recordAudit adds entries to the audit of their organizations. An entry that exists stays as
// it is.
func recordAudit(tx *writeTx, m *pb.RecordAudit) (*pb.Result, error) {
	for _, e := range m.GetEntries() {
		if err := checkEntry(e); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{inTrail, inTrailSize} {
		if _, err := tx.read.tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return nil, err
		}
	}
	for _, e := range m.GetEntries() {
		key := join(e.GetOrg(), e.GetId())
		if tx.bucket(inTrail).Get(key) != nil {
			continue
		}
		if err := store(tx.bucket(inTrail), key, e); err != nil {
			return nil, err
		}
		n, size := trailSize(tx.read, e.GetOrg())
		n, size = n+1, size+uint64(len(key)+len(tx.bucket(inTrail).Get(key)))
		if err := trimTrail(tx, e.GetOrg(), n, size, m); err != nil {
			return nil, err
		}
	}
	return &pb.Result{}, nil
}

// checkEntry bounds an entry.
func checkEntry(e *pb.AuditEntry) error {
	if err := firstError(checkID("the id of an audit entry", e.GetId()), checkText("org", e.GetOrg(), maxID)); err != nil {
		return err
	}
	if proto.Size(e) > maxEntrySize {
		return refuse(CodeInvalid, "the audit entry %q has more than %d bytes", e.GetId(), maxEntrySize)
	}
	return nil
}

// trimTrail removes the oldest entries of an organization above the limits of a command, but
// never the newest, and stores the size of what is left.
func trimTrail(tx *writeTx, org string, n, size uint64, m *pb.RecordAudit) error {
	var old [][]byte
	for k, v := range scan(tx.bucket(inTrail), under(org)) {
		if n <= max(uint64(m.GetKeep()), 1) && (size <= m.GetKeepBytes() || n == 1) {
			break
		}
		key := append(under(org), k...)
		old = append(old, key)
		n, size = n-1, size-min(size, uint64(len(key)+len(v)))
	}
	for _, key := range old {
		if err := tx.bucket(inTrail).Delete(key); err != nil {
			return err
		}
	}
	return tx.bucket(inTrailSize).Put(under(org), append(index8(n), index8(size)...))
}

// trailSize returns the number of audit entries of an organization, and their bytes.
func trailSize(tx *Tx, org string) (n, size uint64) {
	b := tx.bucket(inTrailSize)
	if b == nil {
		return 0, 0
	}
	v := b.Get(under(org))
	if len(v) != 16 {
		return 0, 0
	}
	return binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
}

// TrailOrgs returns the organizations that have audit entries, the cluster among them as "".
func (tx *Tx) TrailOrgs() (all []string) {
	for k := range scan(tx.bucket(inTrailSize), nil) {
		all = append(all, string(bytes.TrimSuffix(k, []byte{0})))
	}
	return all
}

// Trail calls each with the audit entries of an organization in descending order of id (ids
// are made in order of time), from the first before the given one (empty: from the newest)
// until it returns false. An empty organization is the cluster.
func (tx *Tx) Trail(org, before string, each func(*pb.AuditEntry) bool) error {
	if tx.bucket(inTrail) == nil {
		return nil
	}
	for k, v := range scanBefore(tx.bucket(inTrail), under(org), before) {
		e, err := parse[pb.AuditEntry](bytes.Clone(k), v)
		if err != nil {
			return err
		}
		if !each(e) {
			return nil
		}
	}
	return nil
}
