package api

import (
	"errors"

	pb "firescan/catalog/catalogpb"
	"firescan/provider"
)

// verifyDestination tries what the stored credentials can do: list, and write and
// delete a probe object of its own.
func (s *Server) verifyDestination(c *call) error {
	d, err := c.readDestination()
	if err != nil {
		return err
	}
	permissions, err := s.probe(c, d)
	if err != nil {
		// That it cannot be reached now says nothing against its settings.
		if known, ok := errors.AsType[*provider.Error](err); ok && !gone(err) && !known.Kind.Temporary() {
			if err := c.setVerified(d, false); err != nil {
				return err
			}
		}
		return providerFailed(err, d.Type, d.Bucket)
	}
	if err := c.setVerified(d, permissions.Read); err != nil {
		return err
	}
	message := "Storage verified successfully"
	if !permissions.Read {
		message = "The bucket was reached, but the credentials may not list it"
	}
	return c.answer(envelope{Message: message, Data: struct {
		Verified    bool            `json:"verified"`
		Accessible  bool            `json:"accessible"`
		Permissions permissionsView `json:"permissions"`
	}{permissions.Read, permissions.Read, permissionsView(permissions)}})
}

func (s *Server) probe(c *call, d *pb.Destination) (provider.Permissions, error) {
	bucket, err := s.Buckets.Open(c.context(), d)
	if err != nil {
		return provider.Permissions{}, err
	}
	prefix := d.Path
	if prefix != "" {
		prefix += "/"
	}
	return provider.Probe(c.context(), bucket, prefix)
}

func (c *call) setVerified(d *pb.Destination, verified bool) error {
	_, err := c.propose(&pb.SetVerified{
		Org: d.Org, Id: d.Id, Verified: verified, At: c.server.Now().UnixMilli(), Revision: d.Revision,
	})
	return orNotFound(err, storageNotFound())
}
