package provider

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"
)

// Permissions are what a set of credentials may do in a bucket.
type Permissions struct{ Read, Write, Delete bool }

// A Check is what came of trying one call.
type Check struct {
	// Permission and Call are the provider's names of what the call requires and of the call:
	// s3:GetObject, HeadObject.
	Permission, Call string
	// Allowed is nil where it could not be found out.
	Allowed *bool
	// Reason is why it is not allowed, for a person.
	Reason string
}

// A Permissioner is a bucket whose provider reports permissions.
type Permissioner interface {
	// TestPermissions returns those of the permissions that calls require (see
	// CallNamer) which the credentials have in the bucket as a whole.
	TestPermissions(ctx context.Context) (has []string, err error)
}

// A CallNamer is a bucket that knows the provider's names of a call of the seam (an Op of
// Error) and of the permission that it requires.
type CallNamer interface {
	NameCall(op string) (permission, call string)
}

// probeCleanup bounds the removal of a probe object when the caller has given up.
const probeCleanup = 10 * time.Second

// Probe is ProbeCalls without the single calls.
func Probe(ctx context.Context, b Bucket, prefix string) (Permissions, error) {
	p, _, err := ProbeCalls(ctx, b, prefix)
	return p, err
}

// ProbeCalls finds out by trying: it lists under prefix, writes an object
// <prefix>.firescan-probe-<random>, looks at it and deletes it again, each also where
// another was refused. To read is to list and to look at an object: where none could be
// written, at the first one that was listed. What the provider refuses is false; any other
// failure is the error, with what was found up to then.
//
// A provider that reports permissions (Permissioner) is believed in what it denies,
// so that no object is written which could not be deleted. With another the probe object
// stays behind where writing is permitted and deleting is not, since nothing can be
// done about it; the next probe writes it again rather than another one.
func ProbeCalls(ctx context.Context, b Bucket, prefix string) (Permissions, []Check, error) {
	t := &trial{names: callNames(b)}
	var page Page
	listed, err := t.try("list", b.List(ctx, ListRequest{Prefix: prefix, MaxKeys: 1}, &page))
	if err != nil {
		return Permissions{}, t.checks, err
	}
	if asked, ok := As[Permissioner](b); ok {
		// Permissions that it cannot report are tried.
		if has, err := asked.TestPermissions(ctx); err == nil {
			if p, ok := t.believe(has, listed); ok {
				return p, t.checks, nil
			}
		}
	}
	var present string
	if listed && len(page.Objects) > 0 {
		present = string(page.Objects[0].Key)
	}
	p, err := t.tryObject(ctx, b, prefix, present, listed)
	return p, t.checks, err
}

// A trial tries calls.
type trial struct {
	names  CallNamer
	checks []Check
}

// believe takes over what a provider reports, where it denies writing or deleting.
func (t *trial) believe(has []string, listed bool) (p Permissions, denies bool) {
	reported := func(op string) (allowed bool) {
		permission, call := t.names.NameCall(op)
		allowed = slices.Contains(has, permission)
		if op != "list" || listed && !allowed {
			c := Check{Permission: permission, Call: call, Allowed: &allowed}
			if !allowed {
				c.Reason = "the provider reports that the credentials do not have this permission"
			}
			t.checks = append(t.checks, c)
		}
		return allowed
	}
	tried := t.checks
	p = Permissions{Read: listed && reported("list"), Write: reported("put"), Delete: reported("delete")}
	p.Read = reported("stat") && p.Read
	if p.Write && p.Delete {
		t.checks = tried
		return p, false
	}
	return p, true
}

// tryObject tries an object that it writes, looks at and deletes. present is an object of the
// bucket, if one is known.
func (t *trial) tryObject(ctx context.Context, b Bucket, prefix, present string, listed bool) (p Permissions, err error) {
	p.Read = listed
	key, err := probeKey(ctx, b, prefix, listed)
	if err != nil {
		return p, err
	}
	p.Write, err = t.try("put", b.Put(ctx, key, []byte(probeText)))
	if err == nil {
		var looked bool
		if p.Write {
			looked, err = t.try("stat", stat(ctx, b, key))
		} else {
			looked, err = t.look(ctx, b, cmp.Or(present, key), present != "")
		}
		p.Read = p.Read && looked
	}
	// Deleting is tried also when nothing could be written: a provider asks for the
	// permission before it looks for the object, which may be there after an error too.
	allowed, left := t.try("delete", cleanUp(ctx, b, key))
	if err != nil || left != nil {
		return p, errors.Join(err, left)
	}
	p.Delete = allowed
	if _, call := t.names.NameCall("delete batch"); call != "" && allowed {
		_, _ = t.try("delete batch", b.DeleteBatch(ctx, []Deletion{{Key: key}})[0]) // deleting one by one is enough
	}
	return p, nil
}

// look looks at an object that the probe has not written. It reports whether nothing speaks
// against the permission.
func (t *trial) look(ctx context.Context, b Bucket, key string, present bool) (bool, error) {
	err := stat(ctx, b, key)
	if KindOf(err) == Invalid && !isRefused(err) || isRefused(err) && !present {
		// A provider does not show that there is no object, without the permission to list or
		// with one for a prefix only. An object that is encrypted with a client's key (SSE-C)
		// requires that key.
		permission, call := t.names.NameCall("stat")
		t.checks = append(t.checks, Check{Permission: permission, Call: call, Reason: "no object could be written to look at"})
		return true, nil
	}
	return t.try("stat", err)
}

// stat looks at an object, which may not be there: not written, or removed by a probe beside
// this one that had the same key.
func stat(ctx context.Context, b Bucket, key string) error {
	_, err := b.Stat(ctx, key)
	if KindOf(err) == NotFound {
		return nil
	}
	return err
}

// try adds a check of a call that ended with err. Errors that are no refusal are returned.
func (t *trial) try(op string, err error) (allowed bool, _ error) {
	if err != nil && !isRefused(err) {
		return false, err
	}
	allowed = err == nil
	c := Check{Allowed: &allowed}
	c.Permission, c.Call = t.names.NameCall(op)
	if e, ok := errors.AsType[*Error](err); ok {
		c.Reason = e.Explain()
	}
	t.checks = append(t.checks, c)
	return allowed, nil
}

// isRefused reports whether a call is denied, or the server has no such function at all.
func isRefused(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Kind == Denied || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented)
}

// callNames returns the names of a bucket's calls.
func callNames(b Bucket) CallNamer {
	if names, ok := As[CallNamer](b); ok {
		return names
	}
	return ownNames{}
}

// ownNames are the names of the seam.
type ownNames struct{}

// NameCall implements CallNamer.
func (ownNames) NameCall(op string) (permission, call string) { return op, op }

// probeKey is the key of an object that an earlier probe had to leave behind, or a new
// one.
func probeKey(ctx context.Context, b Bucket, prefix string, mayList bool) (string, error) {
	if mayList {
		var page Page
		if err := b.List(ctx, ListRequest{Prefix: prefix + probeName, MaxKeys: fewOwn}, &page); err != nil {
			return "", err
		}
		for _, o := range page.Objects {
			if isOwn(o.Key, o.Size) {
				return string(o.Key), nil
			}
		}
	}
	return ownKey(prefix, probeName), nil
}

// cleanUp removes what a probe wrote, or may have written, also when the caller has
// given up.
func cleanUp(ctx context.Context, b Bucket, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeCleanup)
	defer cancel()
	err := b.Delete(ctx, key, "")
	if err == nil {
		_ = removeVersions(ctx, b, key) // what may not be removed stays
	}
	return err
}
