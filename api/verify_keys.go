package api

import (
	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
)

// keyMappingView shows under which names a server lists unusual keys: exact, folded, either
// or unknown.
type keyMappingView struct {
	LeadingSlash string `json:"leadingSlash"`
	DoubleSlash  string `json:"doubleSlash"`
	DotSegment   string `json:"dotSegment"`
	Backslash    string `json:"backslash"`
	Composed     string `json:"composed"`
	Decomposed   string `json:"decomposed"`
}

// probeKeys finds out under which names the server of a destination lists unusual keys, and
// records it.
func (c *call) probeKeys(d *pb.Destination, bucket provider.Bucket) (*keyMappingView, error) {
	start, _ := catalog.KeySpace(d)
	m := provider.ProbeKeys(c.context(), bucket, string(start))
	_, err := c.propose(&pb.SetKeyMapping{Org: d.Org, Id: d.Id, Revision: d.Revision, Mapping: &pb.KeyMapping{
		LeadingSlash: pb.KeyMapping_Rule(m.LeadingSlash), DoubleSlash: pb.KeyMapping_Rule(m.DoubleSlash),
		DotSegment: pb.KeyMapping_Rule(m.DotSegment), Backslash: pb.KeyMapping_Rule(m.Backslash),
		Composed: pb.KeyMapping_Rule(m.Composed), Decomposed: pb.KeyMapping_Rule(m.Decomposed), ProbedAt: c.backend.now().UnixMilli(),
	}})
	name := func(rule provider.KeyRule) string { return [...]string{"unknown", "exact", "folded", "either"}[rule] }
	return &keyMappingView{
		name(m.LeadingSlash), name(m.DoubleSlash), name(m.DotSegment), name(m.Backslash), name(m.Composed), name(m.Decomposed),
	}, orNotFound(err, storageNotFound())
}
