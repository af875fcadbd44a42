package catalog

import (
	"errors"
	"strings"

	pb "firescan/catalog/catalogpb"
)

// ErrNoReplica is returned when no replica makes progress copying the result of a sync.
var ErrNoReplica = errors.New("no replica is making progress copying the new index")

func setHolder(tx *writeTx, m *pb.SetHolder) (*pb.Result, error) {
	if err := firstError(
		checkID("node", m.GetNode()), checkID("destination id", m.GetDestinationId()), checkID("generation", m.GetGeneration()),
	); err != nil {
		return nil, err
	}
	key := join(m.GetDestinationId(), m.GetNode(), m.GetGeneration())
	if !m.GetWhole() {
		return &pb.Result{}, tx.bucket(inHolders).Delete(key)
	}
	g, err := load[pb.Generation](tx.bucket(inGenerations), []byte(m.GetDestinationId()))
	if err != nil {
		return nil, err
	}
	if g.GetId() != m.GetGeneration() && runningSyncID(tx.read, m.GetDestinationId()) != m.GetGeneration() {
		return &pb.Result{}, nil // a late report is no failure
	}
	return &pb.Result{}, tx.bucket(inHolders).Put(key, []byte{})
}

func forgetNode(tx *writeTx, m *pb.ForgetNode) (*pb.Result, error) {
	if err := checkID("node", m.GetNode()); err != nil {
		return nil, err
	}
	for _, k := range keysOf(tx.bucket(inHolders), nil) {
		if strings.Split(k, "\x00")[1] != m.GetNode() {
			continue
		}
		if err := tx.bucket(inHolders).Delete([]byte(k)); err != nil {
			return nil, err
		}
	}
	return &pb.Result{}, nil
}

// Holders returns which nodes hold the whole shard of which generation of a destination,
// by node. It includes holders of an older generation until they have dropped it.
func (tx *Tx) Holders(destID string) ([]*pb.Holder, error) {
	var all []*pb.Holder
	for k := range scan(tx.bucket(inHolders), under(destID)) {
		node, generation, _ := strings.Cut(string(k), "\x00")
		all = append(all, &pb.Holder{Node: node, Generation: generation})
	}
	return all, nil
}

// dropHolders removes the holders of those generations of a destination that drop
// selects.
func dropHolders(tx *writeTx, destID string, drop func(generation string) bool) error {
	for _, k := range keysOf(tx.bucket(inHolders), under(destID)) {
		_, generation, _ := strings.Cut(k, "\x00")
		if !drop(generation) {
			continue
		}
		if err := tx.bucket(inHolders).Delete(join(destID, k)); err != nil {
			return err
		}
	}
	return nil
}
