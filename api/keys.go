package api

import (
	"context"
	"fmt"
)

// Keys replaces the key that credentials are encrypted with.
type Keys interface {
	// Rotate answers of how many destinations the credentials were encrypted anew.
	Rotate(ctx context.Context) (int, error)
}

func (s *Server) rotateKeys(c *call) error {
	if err := c.noBody(); err != nil {
		return err
	}
	n, err := s.Keys.Rotate(c.context())
	if err != nil {
		return err
	}
	c.log.Info("the key for credentials was rotated", "destinations", n)
	return c.answer(envelope{
		Message: fmt.Sprintf("Key rotated; the credentials of %d destinations were encrypted anew", n),
		Data: struct {
			Destinations int `json:"destinations"`
		}{n},
	})
}
