package api

import (
	"context"
	"strings"

	"firescan/provider"
)

// Accounts opens an account at a provider with credentials that are not stored. It
// makes no request yet. The organization is that whose key files may be named.
type Accounts interface {
	Account(ctx context.Context, org, providerType, endpoint, region string, credentials map[string]string) (provider.Account, error)
}

// accounts has the handlers that try out credentials.
type accounts struct {
	opener   Accounts
	settings *settings
}

// bucketInput is the body of the endpoints that try out credentials: these are used for
// this request only, neither stored nor shown. A nil field was not given.
type bucketInput struct {
	Provider    *string     `json:"provider"`
	BucketName  *string     `json:"bucketName"`
	FolderName  *string     `json:"folderName"`
	Region      string      `json:"region"`
	Endpoint    string      `json:"endpoint"`
	Credentials credentials `json:"credentials"`
}

// attempt is a checked bucketInput: an account of a provider of type typ.
type attempt struct {
	typ, bucket, folder, region string
	account                     provider.Account
}

// The bodies of connect and of buckets/… differ in the fields besides the account.
type bucketFields uint8

const (
	accountOnly bucketFields = iota
	withBucket
	withFolder // in a bucket
)

// attempt reads the body and opens the account in it, without a request to the
// provider.
func (h *accounts) attempt(c *call, fields bucketFields) (*attempt, error) {
	var in bucketInput
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a, wrong := &attempt{region: in.Region}, fieldErrors{}
	if in.Provider == nil {
		wrong["provider"] = "is required"
	} else if a.typ = h.settings.typeOf(*in.Provider); a.typ == "" {
		wrong["provider"] = "must be one of " + strings.Join(h.settings.types, ", ")
	}
	wrong.named("bucketName", in.BucketName, fields >= withBucket, &a.bucket, func(b string) string { return checkBucket(a.typ, b) })
	wrong.named("folderName", in.FolderName, fields >= withFolder, &a.folder, checkFolder)
	if problem := checkRegion(in.Region); problem != "" {
		wrong["region"] = problem
	} else if problem := regionless(a.typ, in.Region, in.Endpoint); problem != "" {
		wrong["region"] = problem
	}
	if problem := h.settings.checkEndpoint(in.Endpoint); problem != "" {
		wrong["endpoint"] = problem
	}
	in.Credentials.check(a.typ, in.Endpoint, nil, wrong)
	in.Credentials.checkKeyFile(c.org, wrong)
	if len(wrong) > 0 {
		return nil, invalid(wrong)
	}
	var err error
	if a.account, err = h.opener.Account(c.context(), c.org, a.typ, in.Endpoint, in.Region, in.Credentials.reveal()); err != nil {
		return nil, a.failed(err)
	}
	return a, nil
}

// named checks a field that an endpoint either requires or does not have.
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

// failed returns the error of a failed call to the provider.
func (a *attempt) failed(err error) error { return providerFailed(err, a.typ, a.bucket) }
