package catalog

import (
	"maps"

	pb "firescan/catalog/catalogpb"
)

// Commands that record what was found out about a destination, as opposed to settings of
// its owner.

func setVerified(tx *writeTx, m *pb.SetVerified) (*pb.Result, error) {
	d, err := tx.read.Destination(m.GetOrg(), m.GetId())
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
	return &pb.Result{}, store(tx.bucket(inDestinations), []byte(d.GetId()), d)
}

func setConditions(tx *writeTx, m *pb.SetConditions) (*pb.Result, error) {
	d, err := tx.read.Destination(m.GetOrg(), m.GetId())
	if err != nil {
		return nil, err
	}
	if d.GetRevision() != m.GetRevision() {
		return nil, refuse(CodeConflict, "storage destination %q was changed while its bucket was probed: probe it again", d.GetId())
	}
	d.Conditions = &pb.Conditions{Single: m.GetSingle(), Batch: m.GetBatch(), ProbedAt: m.GetAt()}
	return &pb.Result{}, store(tx.bucket(inDestinations), []byte(d.GetId()), d)
}

func setKeyMapping(tx *writeTx, m *pb.SetKeyMapping) (*pb.Result, error) {
	d, err := tx.read.Destination(m.GetOrg(), m.GetId())
	if err != nil {
		return nil, err
	}
	if d.GetRevision() != m.GetRevision() {
		return nil, refuse(CodeConflict, "storage destination %q was changed while its bucket was probed: verify it again", d.GetId())
	}
	d.KeyMapping = m.GetMapping()
	return &pb.Result{}, store(tx.bucket(inDestinations), []byte(d.GetId()), d)
}

func reseal(tx *writeTx, m *pb.Reseal) (*pb.Result, error) {
	d, err := tx.read.Destination(m.GetOrg(), m.GetId())
	if err != nil {
		return nil, err
	}
	if d.GetUpdatedAt() != m.GetBaseUpdatedAt() {
		return nil, refuse(CodeConflict, "storage destination %q was changed meanwhile: read it and try again", d.GetId())
	}
	if !maps.EqualFunc(d.GetSealed(), m.GetSealed(), func(_, _ []byte) bool { return true }) {
		return nil, refuse(CodeInvalid, "storage destination %q has other credential fields", d.GetId())
	}
	// An edit of the previous state would restore the old ones: Reseals detects it.
	d.Sealed = m.GetSealed()
	d.Reseals++
	return &pb.Result{}, store(tx.bucket(inDestinations), []byte(d.GetId()), d)
}
