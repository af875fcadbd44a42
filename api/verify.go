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
	p, err := h.probe(c, d)
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
	if p.permissions.Read {
		if err := c.proveAccess(d); err != nil {
			return err
		}
		if unsettled, err = h.settleIdentity(c, d, p.permissions.Write && p.permissions.Delete); err != nil {
			return providerFailed(err, d.Type, d.Bucket)
		}
	}
	if err := c.setVerified(d, p.permissions.Read); err != nil {
		return err
	}
	return c.respond(envelope{Message: p.message(unsettled), Data: struct {
		Verified    bool            `json:"verified"`
		Accessible  bool            `json:"accessible"`
		Permissions permissionsView `json:"permissions"`
		Checks      []checkView     `json:"checks,omitempty"`
		Conditions  *conditionsView `json:"conditionalDelete,omitempty"`
		Unsettled   []unsettledPeer `json:"unsettled,omitempty"`
		Keys        *keyMappingView `json:"keyMapping,omitempty"`
	}{p.permissions.Read, p.permissions.Read, permissionsView(p.permissions), showChecks(p.checks), p.conditions, unsettled, p.keys}})
}

// probed is what a verification found out.
type probed struct {
	permissions provider.Permissions
	checks      []provider.Check
	conditions  *conditionsView
	keys        *keyMappingView
	fault       error // what the server does wrong in lists
}

// message sums up a verification.
func (p *probed) message(unsettled []unsettledPeer) string {
	missing := refusals(p.checks)
	if !p.permissions.Read {
		return "The bucket exists, but the credentials may not read it; the provider refuses " + missing
	}
	message := "Storage verified successfully"
	if missing != "" {
		message += ". The provider refuses " + missing
	}
	switch {
	case p.fault != nil:
		message += ". Scans take longer, because each lists the whole bucket in one stream: " + p.fault.Error()
	case len(unsettled) > 0:
		message += ". It may be the bucket of another storage destination, which could not be found out, so nothing is deleted in either"
	}
	return message
}

// conditionsView shows whether the bucket supports conditional deletes.
type conditionsView struct {
	Single bool `json:"single"`
	Batch  bool `json:"batch"`
}

// probe tries what the credentials of a destination permit, how its server lists, which
// conditions of deletes it honors, and under which names it lists unusual keys.
func (h *destinations) probe(c *call, d *pb.Destination) (*probed, error) {
	bucket, err := h.buckets.Open(c.context(), d)
	if err != nil {
		return nil, err
	}
	start, _ := catalog.KeySpace(d)
	p := &probed{}
	if p.permissions, p.checks, err = provider.ProbeCalls(c.context(), bucket, string(start)); err != nil || !p.permissions.Read {
		return p, err
	}
	if p.fault, err = provider.CheckLists(c.context(), bucket, string(start)); err != nil || !p.permissions.Write || !p.permissions.Delete {
		return p, err
	}
	// Each time, so that a verification also notices a replaced server.
	honored, err := provider.ProbeConditions(c.context(), bucket, string(start))
	if err != nil {
		return nil, err
	}
	_, err = c.propose(&pb.SetConditions{
		Org: d.Org, Id: d.Id, Revision: d.Revision, Single: honored.Single, Batch: honored.Batch, At: c.backend.now().UnixMilli(),
	})
	if err := orNotFound(err, storageNotFound()); err != nil {
		return nil, err
	}
	conditions := conditionsView(honored)
	p.conditions = &conditions
	p.keys, err = c.probeKeys(d, bucket)
	return p, err
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
