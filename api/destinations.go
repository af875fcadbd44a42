package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
)

// Secrets encrypts a credential before it enters a command.
type Secrets interface {
	Seal(org, destination, field, plain string) ([]byte, error)
}

// Buckets opens the bucket of a destination with its stored credentials.
type Buckets interface {
	Open(ctx context.Context, d *pb.Destination) (provider.Bucket, error)
}

// destinations has the handlers of storage destinations.
type destinations struct {
	settings *settings
	secrets  Secrets
	buckets  Buckets
}

// destinationView shows a destination in responses.
type destinationView struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Type        string            `json:"type"`
	Bucket      string            `json:"bucket"`
	Path        string            `json:"path"`
	Region      string            `json:"region"`
	Endpoint    string            `json:"endpoint,omitempty"`
	StemRule    string            `json:"stemRule"`
	Verified    bool              `json:"verified"`
	Credentials map[string]string `json:"credentials,omitempty"`
	CreatedAt   stamp             `json:"createdAt"`
	UpdatedAt   *stamp            `json:"updatedAt,omitempty"`

	// Only in lists of deleted destinations.
	DeletedAt    *stamp  `json:"deletedAt,omitempty"`
	BackupsCount *uint64 `json:"backupsCount,omitempty"`
}

func showDestination(d *pb.Destination) destinationView {
	updated := stamp(d.UpdatedAt)
	return destinationView{
		ID: d.Id, Name: d.Name, Type: d.Type, Bucket: d.Bucket, Path: d.Path, Region: d.Region, Endpoint: d.Endpoint,
		StemRule: catalog.StemRule(d).String(), Verified: d.Verified, CreatedAt: stamp(d.CreatedAt), UpdatedAt: &updated,
	}
}

// listDestinations lists the destinations, or with deleted=true those that were deleted and
// that records still name.
func listDestinations(c *call) error {
	q := c.query()
	deleted := q.boolean("deleted")
	if err := q.err(); err != nil {
		return err
	}
	list := []destinationView{}
	if err := c.view(func(tx *catalog.Tx) error {
		if deleted {
			all, err := tx.Tombstones(c.org)
			for _, d := range all {
				counters, err := tx.Counters(c.org, d.Id)
				if err != nil {
					return err
				}
				view, at := showDestination(d), stamp(d.DeletedAt)
				view.DeletedAt, view.BackupsCount = &at, &counters.Backups
				list = append(list, view)
			}
			return err
		}
		all, err := tx.Destinations(c.org)
		for _, d := range all {
			list = append(list, showDestination(d))
		}
		return err
	}); err != nil {
		return err
	}
	return c.respond(envelope{Data: list})
}

func getDestination(c *call) error {
	d, err := c.readDestination()
	if err != nil {
		return err
	}
	view := showDestination(d)
	view.Credentials = d.Masked
	return c.respond(envelope{Data: view})
}

func (h *destinations) create(c *call) error {
	var in destinationInput
	if err := c.decode(&in); err != nil {
		return err
	}
	now := c.backend.now().UnixMilli()
	d := &pb.Destination{Org: c.org, Id: catalog.NewID(catalog.KindStorage), CreatedAt: now, UpdatedAt: now}
	if err := h.fill(d, &in, true, catalog.Role(c.token.Role)); err != nil {
		return err
	}
	var created *pb.Result
	if err := c.within(quotaDestinations, c.org, c.backend.limits.Destinations, countDestinations(c.org), func() (err error) {
		created, err = c.proposeOnce(&pb.PutDestination{Destination: d, Create: true}, "")
		return err
	}); err != nil {
		return err
	}
	if created.Id != d.Id { // by an earlier try of this request
		var err error
		if d, err = c.created(created.Id); err != nil {
			return err
		}
	}
	c.audited.destination = d.Id
	view := showDestination(d)
	view.UpdatedAt = nil
	return c.respondStatus(http.StatusCreated, envelope{Data: view, Message: "Storage destination created successfully"})
}

// created reads the destination that an earlier try of this request created.
func (c *call) created(id string) (d *pb.Destination, err error) {
	c.Header().Set(replayedHeader, "true")
	err = c.backend.catalog.View(func(tx *catalog.Tx) error {
		d, err = tx.Destination(c.org, id)
		return orNotFound(err, &Error{Code: CodeConflict, Message: "An earlier try of this request created the storage destination, which has been deleted since"})
	})
	return d, err
}

func (h *destinations) update(c *call) error {
	var in destinationInput
	if err := c.decode(&in); err != nil {
		return err
	}
	d, err := h.updateOnce(c, &in)
	for try := 1; try < updateTries && errors.Is(err, errOvertaken); try++ {
		d, err = h.updateOnce(c, &in)
	}
	if err != nil {
		return orNotFound(err, storageNotFound())
	}
	return c.respond(envelope{Message: "Storage destination updated successfully", Data: struct {
		ID        string  `json:"id"`
		Name      string  `json:"name"`
		Bucket    *string `json:"bucket,omitempty"`
		Path      string  `json:"path"`
		Region    *string `json:"region,omitempty"`
		Endpoint  *string `json:"endpoint,omitempty"`
		StemRule  string  `json:"stemRule"`
		UpdatedAt stamp   `json:"updatedAt"`
	}{d.Id, d.Name, in.Bucket, d.Path, in.Region, in.Endpoint, catalog.StemRule(d).String(), stamp(d.UpdatedAt)}})
}

// updateTries is how often an update is tried while others change the same destination.
const updateTries = 20

// errOvertaken is the error of an update of a destination that was changed in between.
var errOvertaken = errors.New("the destination was changed at the same time")

// updateOnce updates the destination in the path. When it was changed in between, the
// error is errOvertaken: fields that were not given must keep the values of the other
// change, above all the credentials.
func (h *destinations) updateOnce(c *call, in *destinationInput) (*pb.Destination, error) {
	d, err := c.readDestination()
	if err != nil {
		return nil, err
	}
	before, base := proto.CloneOf(d), d.UpdatedAt
	if err := h.fill(d, in, false, catalog.Role(c.token.Role)); err != nil {
		return nil, err
	}
	if moved(before, d) {
		c.audited.did("moved", 1)
	}
	if !maps.EqualFunc(before.Sealed, d.Sealed, bytes.Equal) {
		c.audited.did("credentials", 1)
	}
	d.UpdatedAt = max(c.backend.now().UnixMilli(), base+1)
	_, err = c.propose(&pb.PutDestination{Destination: d, BaseUpdatedAt: base, KeepPlace: true})
	if errors.Is(err, catalog.ErrConflict) {
		if now, readErr := c.readDestination(); readErr == nil && now.UpdatedAt != base {
			err = fmt.Errorf("%w: %w", errOvertaken, err)
		}
	}
	return d, err
}

func deleteDestination(c *call) error {
	if _, err := c.propose(&pb.DeleteDestination{Org: c.org, Id: c.id(), At: c.backend.now().UnixMilli()}); err != nil {
		return orNotFound(err, storageNotFound())
	}
	return c.respond(envelope{Message: "Storage destination deleted successfully"})
}
