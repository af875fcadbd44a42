package api

import (
	"errors"
	"net/http"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// destinationView is a destination as answers show it.
type destinationView struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Type        string            `json:"type"`
	Bucket      string            `json:"bucket"`
	Path        string            `json:"path"`
	Region      string            `json:"region"`
	Endpoint    string            `json:"endpoint,omitempty"`
	Verified    bool              `json:"verified"`
	Credentials map[string]string `json:"credentials,omitempty"`
	CreatedAt   stamp             `json:"createdAt"`
	UpdatedAt   *stamp            `json:"updatedAt,omitempty"`
}

func showDestination(d *pb.Destination) destinationView {
	updated := stamp(d.UpdatedAt)
	return destinationView{
		ID: d.Id, Name: d.Name, Type: d.Type, Bucket: d.Bucket, Path: d.Path, Region: d.Region, Endpoint: d.Endpoint,
		Verified: d.Verified, CreatedAt: stamp(d.CreatedAt), UpdatedAt: &updated,
	}
}

func (s *Server) listDestinations(c *call) error {
	list := []destinationView{}
	if err := c.view(func(tx *catalog.Tx) error {
		all, err := tx.Destinations(c.org)
		for _, d := range all {
			list = append(list, showDestination(d))
		}
		return err
	}); err != nil {
		return err
	}
	return c.answer(envelope{Data: list})
}

func (s *Server) getDestination(c *call) error {
	d, err := c.readDestination()
	if err != nil {
		return err
	}
	view := showDestination(d)
	view.Credentials = d.Masked
	return c.answer(envelope{Data: view})
}

// readDestination reads the destination that the path names.
func (c *call) readDestination() (d *pb.Destination, err error) {
	err = c.view(func(tx *catalog.Tx) (err error) {
		d, err = c.destination(tx)
		return err
	})
	return d, err
}

func (s *Server) createDestination(c *call) error {
	var in destinationInput
	if err := c.decode(&in); err != nil {
		return err
	}
	now := s.Now().UnixMilli()
	d := &pb.Destination{Org: c.org, Id: catalog.NewID(catalog.KindStorage), CreatedAt: now, UpdatedAt: now}
	if err := s.fill(d, &in, true); err != nil {
		return err
	}
	made, err := c.proposeOnce(&pb.PutDestination{Destination: d, Create: true}, "")
	if err != nil {
		return err
	}
	if made.Id != d.Id { // by the request that this one retries
		if d, err = c.made(made.Id); err != nil {
			return err
		}
	}
	view := showDestination(d)
	view.UpdatedAt = nil
	return c.answerStatus(http.StatusCreated, envelope{Data: view, Message: "Storage destination created successfully"})
}

// made reads the destination that the request before this retry has made.
func (c *call) made(id string) (d *pb.Destination, err error) {
	c.Header().Set(replayedHeader, "true")
	err = c.server.Catalog.View(func(tx *catalog.Tx) error {
		d, err = tx.Destination(c.org, id)
		return orNotFound(err, &Error{Code: CodeConflict, Message: "The storage destination was created by this request before, and deleted since"})
	})
	return d, err
}

func (s *Server) updateDestination(c *call) error {
	var in destinationInput
	if err := c.decode(&in); err != nil {
		return err
	}
	d, err := c.update(&in)
	for try := 1; try < updateTries && errors.Is(err, catalog.ErrConflict); try++ {
		d, err = c.update(&in)
	}
	if err != nil {
		return orNotFound(err, storageNotFound())
	}
	return c.answer(envelope{Message: "Storage destination updated successfully", Data: struct {
		ID        string  `json:"id"`
		Name      string  `json:"name"`
		Bucket    *string `json:"bucket,omitempty"`
		Path      string  `json:"path"`
		Region    *string `json:"region,omitempty"`
		Endpoint  *string `json:"endpoint,omitempty"`
		UpdatedAt stamp   `json:"updatedAt"`
	}{d.Id, d.Name, in.Bucket, d.Path, in.Region, in.Endpoint, stamp(d.UpdatedAt)}})
}

// updateTries is how often a change is made to what others change at the same time.
const updateTries = 20

// update changes the destination that the path names as it is now. When another change
// of it comes in between, the answer is catalog.ErrConflict: what was not given must
// stay as the other one left it, the credentials above all.
func (c *call) update(in *destinationInput) (*pb.Destination, error) {
	d, err := c.readDestination()
	if err != nil {
		return nil, err
	}
	base := d.UpdatedAt
	if err := c.server.fill(d, in, false); err != nil {
		return nil, err
	}
	d.UpdatedAt = max(c.server.Now().UnixMilli(), base+1)
	_, err = c.propose(&pb.PutDestination{Destination: d, BaseUpdatedAt: base})
	return d, err
}

func (s *Server) deleteDestination(c *call) error {
	if _, err := c.propose(&pb.DeleteDestination{Org: c.org, Id: c.id()}); err != nil {
		return orNotFound(err, storageNotFound())
	}
	return c.answer(envelope{Message: "Storage destination deleted successfully"})
}

func (s *Server) linkedResources(c *call) error {
	type schedule struct {
		ID             string `json:"id"`
		Name           string `json:"name"`
		ProjectID      string `json:"projectId"`
		Enabled        bool   `json:"enabled"`
		CronExpression string `json:"cronExpression"`
	}
	type pitr struct {
		ID        string `json:"id"`
		ProjectID string `json:"projectId"`
		Enabled   bool   `json:"enabled"`
		Status    string `json:"status"`
	}
	data := struct {
		Schedules    []schedule `json:"schedules"`
		Pitrs        []pitr     `json:"pitrConfigurations"`
		BackupsCount uint64     `json:"backupsCount"`
	}{[]schedule{}, []pitr{}, 0}
	if err := c.view(func(tx *catalog.Tx) error {
		d, err := c.destination(tx)
		if err != nil {
			return err
		}
		schedules, err := tx.Schedules(c.org, d.Id)
		if err != nil {
			return err
		}
		for _, r := range schedules {
			data.Schedules = append(data.Schedules, schedule{r.Id, r.Name, r.ProjectId, r.Enabled, r.CronExpression})
		}
		pitrs, err := tx.Pitrs(c.org, d.Id)
		if err != nil {
			return err
		}
		for _, r := range pitrs {
			data.Pitrs = append(data.Pitrs, pitr{r.Id, r.ProjectId, r.Enabled, r.Status})
		}
		counters, err := tx.Counters(c.org, d.Id)
		data.BackupsCount = counters.Backups
		return err
	}); err != nil {
		return err
	}
	return c.answer(envelope{Data: data})
}
