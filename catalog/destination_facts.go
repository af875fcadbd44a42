package catalog

import (
	"maps"

	pb "firescan/catalog/catalogpb"
)

// What is found out about a destination, as opposed to what its owner sets.

func (b *batch) setVerified(m *pb.SetVerified) (*pb.Result, error) {
	d, err := b.Destination(m.GetOrg(), m.GetId())
	if err != nil {
		return nil, err
	}
	if d.GetRevision() != m.GetRevision() {
		return nil, refuse(CodeConflict, "storage destination %q was changed while it was verified: verify it again", d.GetId())
	}
	if d.GetVerified() == m.GetVerified() {
		return &pb.Result{}, nil
	}
	d.Verified, d.UpdatedAt = m.GetVerified(), m.GetAt()
	return &pb.Result{}, store(b.bucket(inDestinations), []byte(d.GetId()), d)
}

func (b *batch) setConditions(m *pb.SetConditions) (*pb.Result, error) {
	d, err := b.Destination(m.GetOrg(), m.GetId())
	if err != nil {
		return nil, err
	}
	if d.GetRevision() != m.GetRevision() {
		return nil, refuse(CodeConflict, "storage destination %q was changed while its bucket was probed: probe it again", d.GetId())
	}
	d.Conditions = &pb.Conditions{Single: m.GetSingle(), Batch: m.GetBatch(), ProbedAt: m.GetAt()}
	return &pb.Result{}, store(b.bucket(inDestinations), []byte(d.GetId()), d)
}

func (b *batch) reseal(m *pb.Reseal) (*pb.Result, error) {
	d, err := b.Destination(m.GetOrg(), m.GetId())
	if err != nil {
		return nil, err
	}
	if d.GetUpdatedAt() != m.GetBaseUpdatedAt() {
		return nil, refuse(CodeConflict, "storage destination %q was changed meanwhile: read it and try again", d.GetId())
	}
	if !maps.EqualFunc(d.GetSealed(), m.GetSealed(), func(_, _ []byte) bool { return true }) {
		return nil, refuse(CodeInvalid, "storage destination %q has other credential fields", d.GetId())
	}
	// Who edits the destination as it was would bring the old ones back.
	d.Sealed = m.GetSealed()
	d.Reseals++
	return &pb.Result{}, store(b.bucket(inDestinations), []byte(d.GetId()), d)
}
