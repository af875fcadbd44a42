package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"firescan/provider"
)

// createBucket creates a bucket.
func (h *accounts) createBucket(c *call) error {
	a, err := h.attempt(c, withBucket)
	if err != nil {
		return err
	}
	region := cmp.Or(a.region, usualRegion(a.typ))
	// Amazon reports success in some regions for a bucket that exists and is ours, so
	// we check first. Other errors of this check also fail the creation.
	if err := a.account.Bucket(a.bucket).List(c.context(), provider.ListRequest{MaxKeys: 1}, &provider.Page{}); err == nil {
		return bucketExists(a.bucket, nil)
	}
	if err := a.account.CreateBucket(c.context(), a.bucket, region); err != nil {
		return a.failed(err)
	}
	return c.respondStatus(http.StatusCreated, envelope{
		Message: fmt.Sprintf("Bucket '%s' created successfully", a.bucket),
		Data: struct {
			Bucket  string `json:"bucket"`
			Region  string `json:"region"`
			Created bool   `json:"created"`
		}{a.bucket, region, true},
	})
}

// permissionsView shows permissions in responses.
type permissionsView struct {
	Read   bool `json:"read"`
	Write  bool `json:"write"`
	Delete bool `json:"delete"`
}

// verifyBucket tries what the credentials may do in a bucket.
func (h *accounts) verifyBucket(c *call) error {
	a, err := h.attempt(c, withBucket)
	if err != nil {
		return err
	}
	p, checks, err := provider.ProbeCalls(c.context(), a.account.Bucket(a.bucket), "")
	if err != nil {
		return a.failed(err)
	}
	return c.respond(envelope{Data: struct {
		Accessible  bool            `json:"accessible"`
		Permissions permissionsView `json:"permissions"`
		Checks      []checkView     `json:"checks,omitempty"`
		Bucket      string          `json:"bucket"`
	}{p.Read, permissionsView(p), showChecks(checks), a.bucket}})
}

// checkView shows a call that was tried.
type checkView struct {
	Permission string `json:"permission"`
	Call       string `json:"call"`
	Allowed    *bool  `json:"allowed,omitempty"`
	Reason     string `json:"reason,omitempty"`
}

// showChecks returns the calls that were tried if one of them was refused.
func showChecks(checks []provider.Check) (views []checkView) {
	if refusals(checks) == "" {
		return nil
	}
	for _, c := range checks {
		views = append(views, checkView(c))
	}
	return views
}

// refusals names the permissions that the provider refused, each once.
func refusals(checks []provider.Check) string {
	var names []string
	for _, c := range checks {
		if c.Allowed != nil && !*c.Allowed && !slices.Contains(names, c.Permission) {
			names = append(names, c.Permission)
		}
	}
	return strings.Join(names, ", ")
}
