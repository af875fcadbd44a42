package catalog

import (
	"bytes"

	pb "firescan/catalog/catalogpb"
)

func putToken(tx *writeTx, m *pb.PutToken) (*pb.Result, error) {
	t := m.GetToken()
	if err := checkToken(t); err != nil {
		return nil, err
	}
	if id := tx.bucket(inTokensByHash).Get(t.GetHash()); id != nil && string(id) != t.GetId() {
		return nil, refuse(CodeConflict, "another token has the same hash")
	}
	old, err := load[pb.Token](tx.bucket(inTokens), []byte(t.GetId()))
	if err != nil {
		return nil, err
	}
	if err := firstError(tx.bucket(inTokensByHash).Delete(old.GetHash()), noteRootToken(tx, t.GetId())); err != nil {
		return nil, err
	}
	return &pb.Result{Id: t.GetId()}, firstError(
		store(tx.bucket(inTokens), []byte(t.GetId()), t),
		tx.bucket(inTokensByHash).Put(t.GetHash(), []byte(t.GetId())),
	)
}

func deleteToken(tx *writeTx, m *pb.DeleteToken) (*pb.Result, error) {
	t, err := tx.read.Token(m.GetId())
	if err != nil {
		return nil, err
	}
	return &pb.Result{}, firstError(
		noteRootToken(tx, t.GetId()),
		tx.bucket(inTokens).Delete([]byte(t.GetId())),
		tx.bucket(inTokensByHash).Delete(t.GetHash()),
	)
}

// RootTokenID is the id of the root token that the first leader makes.
const RootTokenID = "tok_root"

// noteRootToken records that there is, or was, the root token, if id is its id.
func noteRootToken(tx *writeTx, id string) error {
	if id != RootTokenID {
		return nil
	}
	return tx.bucket(inMeta).Put([]byte(metaRootMade), []byte{})
}

func putKeyset(tx *writeTx, m *pb.PutKeyset) (*pb.Result, error) {
	if len(m.GetKeyset()) == 0 {
		return nil, refuse(CodeInvalid, "the keyset is empty")
	}
	if !bytes.Equal(tx.read.Keyset(), m.GetReplaces()) {
		return nil, refuse(CodeConflict, "another credential keyset was stored meanwhile: read it and try again")
	}
	return &pb.Result{}, tx.bucket(inMeta).Put([]byte(metaKeyset), m.GetKeyset())
}

// Token returns a token by its id.
func (tx *Tx) Token(id string) (*pb.Token, error) {
	t, err := load[pb.Token](tx.bucket(inTokens), []byte(id))
	if err == nil && t == nil {
		err = notFound("token", id)
	}
	return t, err
}

// TokenByHash returns the token with a hash (see HashToken).
func (tx *Tx) TokenByHash(hash []byte) (*pb.Token, error) {
	id := tx.bucket(inTokensByHash).Get(hash)
	if len(hash) == 0 || id == nil {
		return nil, refuse(CodeNotFound, "the token is not known")
	}
	return tx.Token(string(id))
}

// Tokens returns all tokens by id.
func (tx *Tx) Tokens() ([]*pb.Token, error) {
	return list[pb.Token](tx.bucket(inTokens), nil, "", 0)
}
