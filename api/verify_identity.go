package api

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
)

// An unsettledPeer is a destination that may lie in the same bucket under another endpoint,
// with the reason why that is not known. Those of other organizations have no id.
type unsettledPeer struct {
	StorageID string `json:"storageId,omitempty"`
	Reason    string `json:"reason"`
}

// settleIdentity finds out which destinations under other endpoints lie in the bucket of d,
// whatever their names, and records it (see catalog.BucketPeer): by a probe object where it
// may be written, else by a sample of what is there. What cannot be found out stays open.
func (h *destinations) settleIdentity(c *call, d *pb.Destination, mayWrite bool) ([]unsettledPeer, error) {
	var peers []catalog.BucketPeer
	if err := c.view(func(tx *catalog.Tx) (err error) {
		peers, err = tx.BucketPeers(d)
		return err
	}); err != nil || len(peers) == 0 {
		return nil, err
	}
	bucket, err := h.buckets.Open(c.context(), d)
	if err != nil {
		return nil, err
	}
	compared := make([]comparison, len(peers))
	for i, p := range peers {
		compared[i].peer = p.Destination
		compared[i].bucket, compared[i].err = h.buckets.Open(c.context(), p.Destination)
	}
	if mayWrite {
		if err := compareByProbe(c, d, bucket, compared); err != nil {
			return nil, err
		}
	}
	found, reasons := map[string]bool{}, map[string]error{} // by bucket id
	for i := range compared {
		one, id := &compared[i], peers[i].BucketID
		if !one.known && one.bucket != nil && !peers[i].Settled {
			one.compareSamples(c, d, bucket)
		}
		if one.known {
			found[id] = found[id] || one.same
		} else {
			reasons[id] = one.err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(found)) {
		if _, err := c.propose(&pb.SetBucketRelation{
			BucketId: catalog.BucketID(d), OtherId: id, Same: found[id], At: c.backend.now().UnixMilli(),
		}); err != nil {
			return nil, err
		}
	}
	var unsettled []unsettledPeer
	for _, p := range peers {
		_, known := found[p.BucketID]
		switch {
		case known || p.Settled:
		case p.Destination.Org == c.org:
			unsettled = append(unsettled, unsettledPeer{p.Destination.Id, c.reason(p.Destination, reasons[p.BucketID])})
		default:
			unsettled = append(unsettled, unsettledPeer{Reason: "the bucket could not be compared with one of another organization"})
		}
	}
	return unsettled, nil
}

// reason returns why a destination of the caller could not be compared.
func (c *call) reason(d *pb.Destination, err error) string {
	if _, ok := errors.AsType[*provider.Error](err); ok {
		return toError(c.context(), providerFailed(err, d.Type, d.Bucket)).Message
	}
	return err.Error()
}

// A comparison is what was found out about one other destination.
type comparison struct {
	peer        *pb.Destination
	bucket      provider.Bucket // nil when it cannot be opened
	known, same bool
	err         error // why it is not known
}

// compareByProbe looks for an object that is written to the bucket of d. Servers of another
// organization may claim to have it, so there it must have its tag.
func compareByProbe(c *call, d *pb.Destination, bucket provider.Bucket, compared []comparison) error {
	var asked []*comparison
	var others []provider.Bucket
	for i := range compared {
		if one := &compared[i]; one.bucket != nil {
			asked, others = append(asked, one), append(others, one.bucket)
		}
	}
	start, _ := catalog.KeySpace(d)
	sightings, err := provider.ProbeIdentity(c.context(), bucket, string(start), others)
	for i, s := range sightings {
		one := asked[i]
		one.same, one.err = s.Seen, s.Err
		one.known = s.Err == nil && (!s.Seen || s.Exact || one.peer.Org == d.Org)
	}
	return err
}

// compareSamples compares the first objects of both buckets below the path that both have.
func (one *comparison) compareSamples(c *call, d *pb.Destination, bucket provider.Bucket) {
	mine, _ := catalog.KeySpace(d)
	theirs, _ := catalog.KeySpace(one.peer)
	prefix := ""
	switch {
	case bytes.HasPrefix(mine, theirs):
		prefix = string(mine)
	case bytes.HasPrefix(theirs, mine):
		prefix = string(theirs)
	}
	one.same, one.err = provider.CompareSamples(c.context(), bucket, one.bucket, prefix)
	one.known = one.err == nil
}
