package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	pb "firescan/catalog/catalogpb"
)

// A Verdict is what BeginDelete has decided on one node. It must be the same on all nodes:
// Apply is deterministic. A node with another verdict has a damaged catalog.
type Verdict struct {
	Org, Intent string
	// Digest covers the paths that may be deleted, and the refusals.
	Digest []byte
}

// NewVerdict returns the verdict of a result of BeginDelete.
func NewVerdict(m *pb.BeginDelete, r *pb.Result) Verdict {
	rejected := map[uint32]bool{}
	for _, x := range r.GetRejected() {
		rejected[x.GetIndex()] = true
	}
	var allowed [][]byte
	for i, path := range m.GetPaths() {
		if !rejected[uint32(i)] { //nolint:gosec // at most MaxDeletes
			allowed = append(allowed, path)
		}
	}
	return Verdict{m.GetOrg(), m.GetId(), verdictDigest(allowed, r.GetRejected())}
}

// Verdict returns the verdict of this node on an open deletion. Without one it is that
// nothing may be deleted, and its digest is empty. After its first outcome the verdict is
// known no more: ended is true then.
func (tx *Tx) Verdict(org, intent string) (v Verdict, ended bool, err error) {
	v = Verdict{Org: org, Intent: intent}
	if tx.bucket(inAudit).Get(join(org, intent)) != nil {
		return v, true, nil
	}
	n, err := load[pb.Intent](tx.bucket(inIntents), join(org, intent))
	if err == nil && n != nil {
		v.Digest = verdictDigest(n.GetPaths(), n.GetRejected())
	}
	return v, false, err
}

// verdictDigest depends on nothing but what was decided: nodes of two versions agree.
func verdictDigest(allowed [][]byte, rejected []*pb.Rejection) []byte {
	var data []byte
	add := func(part []byte) { data = append(binary.AppendUvarint(data, uint64(len(part))), part...) }
	data = binary.AppendUvarint(data, uint64(len(allowed)))
	for _, path := range allowed {
		add(path)
	}
	for _, r := range rejected {
		data = binary.AppendUvarint(data, uint64(r.GetIndex()))
		add([]byte(r.GetCode()))
	}
	sum := sha256.Sum256(data)
	return sum[:]
}

// WaitApplied waits until the catalog has applied index.
func (c *Catalog) WaitApplied(ctx context.Context, index uint64) error {
	for {
		changed := c.Changed()
		if c.AppliedIndex() >= index {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
