package api

import (
	"fmt"
)

// connect lists the buckets of an account, which shows whether its credentials work.
func (h *accounts) connect(c *call) error {
	a, err := h.attempt(c, accountOnly)
	if err != nil {
		return err
	}
	found, err := a.account.Buckets(c.context())
	if err != nil {
		return a.failed(err)
	}
	type bucket struct {
		Name      string `json:"name"`
		CreatedAt stamp  `json:"createdAt"`
		Region    string `json:"region"`
	}
	data := struct {
		Provider string   `json:"provider"`
		Buckets  []bucket `json:"buckets"`
	}{a.typ, []bucket{}}
	for _, b := range found {
		created := stamp(0)
		if !b.CreatedAt.IsZero() {
			created = stamp(b.CreatedAt.UnixMilli())
		}
		data.Buckets = append(data.Buckets, bucket{b.Name, created, b.Region})
	}
	plural := "s"
	if len(found) == 1 {
		plural = ""
	}
	return c.respond(envelope{Data: data, Message: fmt.Sprintf("Connected to %s and found %d bucket%s", a.typ, len(found), plural)})
}
