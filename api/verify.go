package api

import (
	"errors"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
)

// verify tries what the stored credentials may do: list, and write and delete a probe
// object.
func (h *destinations) verify(c *call) error {
	if err := c.noBody(); err != nil {
		return err
	}
	d, err := c.readDestination()
	if err != nil {
		return err
	}
	permissions, conditions, keys, fault, err := h.probe(c, d)
	if err != nil {
		// That a provider is unreachable does not mean that the settings are wrong.
		if known, ok := errors.AsType[*provider.Error](err); ok && !gone(err) && !known.Kind.Temporary() {
			if err := c.setVerified(d, false); err != nil {
				return err
			}
		}
		return providerFailed(err, d.Type, d.Bucket)
	}
	var unsettled []unsettledPeer
	if permissions.Read {
		if err := c.proveAccess(d); err != nil {
			return err
		}
		if unsettled, err = h.settleIdentity(c, d, permissions.Write && permissions.Delete); err != nil {
			return providerFailed(err, d.Type, d.Bucket)
		}
	}
	if err := c.setVerified(d, permissions.Read); err != nil {
		return err
	}
	message := "Storage verified successfully"
	switch {
	case fault != nil:
		message += ". Scans take longer, because each lists the whole bucket in one stream: " + fault.Error()
	case !permissions.Read:
		message = "The bucket exists, but the credentials may not list it"
	case len(unsettled) > 0:
		message += ". It may be the bucket of another storage destination, which could not be found out, so nothing is deleted in either"
	}
	return c.respond(envelope{Message: message, Data: struct {
		Verified    bool            `json:"verified"`
		Accessible  bool            `json:"accessible"`
		Permissions permissionsView `json:"permissions"`
		Conditions  *conditionsView `json:"conditionalDelete,omitempty"`
		Unsettled   []unsettledPeer `json:"unsettled,omitempty"`
		Keys        *keyMappingView `json:"keyMapping,omitempty"`
	}{permissions.Read, permissions.Read, permissionsView(permissions), conditions, unsettled, keys}})
}

// conditionsView shows whether the bucket supports conditional deletes.
type conditionsView struct {
	Single bool `json:"single"`
	Batch  bool `json:"batch"`
}

// probe tries what the credentials of a destination permit, how its server lists (fault is
// what it does wrong, or nil), which conditions of deletes it honors, and under which names
// it lists unusual keys.
func (h *destinations) probe(c *call, d *pb.Destination) (permissions provider.Permissions, conditions *conditionsView, keys *keyMappingView, fault, err error) {
	bucket, err := h.buckets.Open(c.context(), d)
	if err != nil {
		return permissions, nil, nil, nil, err
	}
	start, _ := catalog.KeySpace(d)
	if permissions, err = provider.Probe(c.context(), bucket, string(start)); err != nil {
		return permissions, nil, nil, nil, err
	}
	if permissions.Read {
		if fault, err = provider.CheckLists(c.context(), bucket, string(start)); err != nil {
			return permissions, nil, nil, nil, err
		}
	}
	if !permissions.Write || !permissions.Delete {
		return permissions, nil, nil, fault, nil
	}
	// Each time, so that a verification also notices a replaced server.
	honored, err := provider.ProbeConditions(c.context(), bucket, string(start))
	if err != nil {
		return permissions, nil, nil, nil, err
	}
	_, err = c.propose(&pb.SetConditions{
		Org: d.Org, Id: d.Id, Revision: d.Revision, Single: honored.Single, Batch: honored.Batch, At: c.backend.now().UnixMilli(),
	})
	if err := orNotFound(err, storageNotFound()); err != nil {
		return permissions, nil, nil, fault, err
	}
	view := conditionsView(honored)
	if permissions.Read {
		if keys, err = c.probeKeys(d, bucket); err != nil {
			return permissions, nil, nil, fault, err
		}
	}
	return permissions, &view, keys, fault, nil
}

// proveAccess records that the credentials of d have listed its bucket, if it is not known.
func (c *call) proveAccess(d *pb.Destination) error {
	var proof *pb.ProveAccess
	if err := c.view(func(tx *catalog.Tx) (err error) {
		proof, err = tx.NewProof(d, c.backend.now())
		return err
	}); err != nil || proof == nil {
		return err
	}
	_, err := c.propose(proof)
	return orNotFound(err, storageNotFound())
}

func (c *call) setVerified(d *pb.Destination, verified bool) error {
	_, err := c.propose(&pb.SetVerified{
		Org: d.Org, Id: d.Id, Verified: verified, At: c.backend.now().UnixMilli(), Revision: d.Revision,
	})
	return orNotFound(err, storageNotFound())
}
