package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"firescan/provider"
)

// bucketInput is the body of the endpoints that try credentials out: they are used for
// this request and neither stored nor shown. What is nil was not given.
type bucketInput struct {
	Provider    *string     `json:"provider"`
	BucketName  *string     `json:"bucketName"`
	FolderName  *string     `json:"folderName"`
	Region      string      `json:"region"`
	Endpoint    string      `json:"endpoint"`
	Credentials credentials `json:"credentials"`
}

// attempt is a checked bucketInput: an account to ask, of a provider of type typ.
type attempt struct {
	typ, bucket, folder, region string
	account                     provider.Account
}

// The bodies of connect and of buckets/… differ in what they name besides the account.
type bucketFields uint8

const (
	accountOnly bucketFields = iota
	withBucket
	withFolder // in a bucket
)

// attempt reads the body and opens the account that it describes, without asking it
// anything yet.
func (c *call) attempt(fields bucketFields) (*attempt, error) {
	var in bucketInput
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	s, a, wrong := c.server, &attempt{region: in.Region}, fieldErrors{}
	if in.Provider == nil {
		wrong["provider"] = "is required"
	} else if a.typ = s.typeOf(*in.Provider); a.typ == "" {
		wrong["provider"] = "must be one of " + strings.Join(s.Types, ", ")
	}
	wrong.named("bucketName", in.BucketName, fields >= withBucket, &a.bucket, func(b string) string { return checkBucket(a.typ, b) })
	wrong.named("folderName", in.FolderName, fields >= withFolder, &a.folder, checkFolder)
	if problem := checkRegion(in.Region); problem != "" {
		wrong["region"] = problem
	} else if problem := regionless(a.typ, in.Region, in.Endpoint); problem != "" {
		wrong["region"] = problem
	}
	if problem := s.checkEndpoint(in.Endpoint); problem != "" {
		wrong["endpoint"] = problem
	}
	in.Credentials.check(a.typ, in.Endpoint, wrong)
	if len(wrong) > 0 {
		return nil, invalid(wrong)
	}
	var err error
	if a.account, err = s.Accounts.Account(c.context(), a.typ, in.Endpoint, in.Region, in.Credentials.reveal()); err != nil {
		return nil, a.failed(err)
	}
	return a, nil
}

// named takes a field that an endpoint either needs or does not know.
func (w fieldErrors) named(name string, given *string, wanted bool, into *string, check func(string) string) {
	switch {
	case given == nil && wanted:
		w[name] = "is required"
	case given != nil && !wanted:
		w[name] = "is not a field of this request"
	case given != nil:
		if problem := check(*given); problem != "" {
			w[name] = problem
		}
		*into = *given
	}
}

// failed is the answer to a failed call to the provider.
func (a *attempt) failed(err error) error { return providerFailed(err, a.typ, a.bucket) }

// providerFailed is the answer to a failed call to a provider of type typ. A time-out is
// the provider's: it was asked in this request and did not answer.
func providerFailed(err error, typ, bucket string) error {
	if known, ok := errors.AsType[*provider.Error](err); ok && !gone(err) {
		return fromProvider(known, typ)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fromProvider(&provider.Error{
			Kind: provider.Unavailable, Op: "ask", Bucket: bucket, Reason: "no answer in time", Err: err,
		}, typ)
	}
	return err
}

// connect lists the buckets of an account, which shows whether its credentials are good.
func (s *Server) connect(c *call) error {
	a, err := c.attempt(accountOnly)
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
		made := stamp(0)
		if !b.CreatedAt.IsZero() {
			made = stamp(b.CreatedAt.UnixMilli())
		}
		data.Buckets = append(data.Buckets, bucket{b.Name, made, b.Region})
	}
	plural := "s"
	if len(found) == 1 {
		plural = ""
	}
	return c.answer(envelope{Data: data, Message: fmt.Sprintf("Connected to %s and found %d bucket%s", a.typ, len(found), plural)})
}
