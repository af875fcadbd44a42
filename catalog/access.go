package catalog

import (
	"bytes"

	pb "firescan/catalog/catalogpb"
)

func (b *batch) putToken(m *pb.PutToken) (*pb.Result, error) {
	t := m.GetToken()
	if err := checkToken(t); err != nil {
		return nil, err
	}
	if id := b.bucket(inTokensByHash).Get(t.GetHash()); id != nil && string(id) != t.GetId() {
		return nil, refuse(CodeConflict, "another token has the same hash")
	}
	old, err := load[pb.Token](b.bucket(inTokens), []byte(t.GetId()))
	if err != nil {
		return nil, err
	}
	if err := b.bucket(inTokensByHash).Delete(old.GetHash()); err != nil {
		return nil, err
	}
	return &pb.Result{Id: t.GetId()}, firstError(
		store(b.bucket(inTokens), []byte(t.GetId()), t),
		b.bucket(inTokensByHash).Put(t.GetHash(), []byte(t.GetId())),
	)
}

func (b *batch) deleteToken(m *pb.DeleteToken) (*pb.Result, error) {
	t, err := b.Token(m.GetId())
	if err != nil {
		return nil, err
	}
	return &pb.Result{}, firstError(
		b.bucket(inTokens).Delete([]byte(t.GetId())),
		b.bucket(inTokensByHash).Delete(t.GetHash()),
	)
}

func (b *batch) putKeyset(m *pb.PutKeyset) (*pb.Result, error) {
	if len(m.GetKeyset()) == 0 {
		return nil, refuse(CodeInvalid, "the keyset is empty")
	}
	if !bytes.Equal(b.Keyset(), m.GetReplaces()) {
		return nil, refuse(CodeConflict, "another credential keyset was stored meanwhile: read it and try again")
	}
	return &pb.Result{}, b.bucket(inMeta).Put([]byte(metaKeyset), m.GetKeyset())
}
