package api

import (
	"fmt"
	"net/http"

	"firescan/provider"
)

// createBucket makes a bucket.
func (h *accounts) createBucket(c *call) error {
	a, err := h.attempt(c, withBucket)
	if err != nil {
		return err
	}
	region := or(a.region, usualRegion(a.typ))
	// Amazon answers in some regions that it made a bucket which is there and ours, so
	// it is looked for first. Whatever else the look meets, making it will tell.
	if err := a.account.Bucket(a.bucket).List(c.context(), provider.ListRequest{MaxKeys: 1}, &provider.Page{}); err == nil {
		return bucketExists(a.bucket, nil)
	}
	if err := a.account.CreateBucket(c.context(), a.bucket, region); err != nil {
		return a.failed(err)
	}
	return c.answerStatus(http.StatusCreated, envelope{
		Message: fmt.Sprintf("Bucket '%s' created successfully", a.bucket),
		Data: struct {
			Bucket  string `json:"bucket"`
			Region  string `json:"region"`
			Created bool   `json:"created"`
		}{a.bucket, region, true},
	})
}

// permissionsView are permissions as answers show them.
type permissionsView struct {
	Read   bool `json:"read"`
	Write  bool `json:"write"`
	Delete bool `json:"delete"`
}

// verifyBucket tries what the credentials can do in a bucket.
func (h *accounts) verifyBucket(c *call) error {
	a, err := h.attempt(c, withBucket)
	if err != nil {
		return err
	}
	p, err := provider.Probe(c.context(), a.account.Bucket(a.bucket), "")
	if err != nil {
		return a.failed(err)
	}
	return c.answer(envelope{Data: struct {
		Accessible  bool            `json:"accessible"`
		Permissions permissionsView `json:"permissions"`
		Bucket      string          `json:"bucket"`
	}{p.Read, permissionsView(p), a.bucket}})
}
