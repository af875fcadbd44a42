package provider

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/text/unicode/norm"

	"firescan/keyspace"
)

// A KeyRule states under which name a server lists an object that was stored with an unusual
// key. The zero value is that nothing is known.
type KeyRule uint8

const (
	// KeyUnknown is for a key that was refused, or is listed under a name of no known form.
	KeyUnknown KeyRule = iota
	// KeyExact is for a key that is listed as it was stored.
	KeyExact
	// KeyFolded is for a key that is listed under another one with the same keyspace.Fold.
	KeyFolded
	// KeyEither is for a key that is listed as it was stored, and is found under its fold, too.
	KeyEither
)

// KeyMapping is what a server does to unusual keys.
type KeyMapping struct {
	LeadingSlash, DoubleSlash, DotSegment, Backslash KeyRule
	Composed, Decomposed                             KeyRule // the forms of Unicode
}

// keyProbeTime bounds ProbeKeys. Forms without a result by then are unknown.
const keyProbeTime = 15 * time.Second

// ProbeKeys finds out how a server lists unusual keys, with a canary object of each form
// below prefix, which it removes again. What it cannot find out is unknown. It needs the
// permissions to put, list, stat and delete. A leading slash is tried only where the prefix
// is empty, since it is outside of any other.
func ProbeKeys(ctx context.Context, b Bucket, prefix string) (m KeyMapping) {
	ctx, cancel := context.WithTimeout(ctx, keyProbeTime)
	defer cancel()
	const folder = ".firescan-canary"
	// The first one alone: where versions of it cannot be removed, no others are written.
	first, clean := tryKey(ctx, b, prefix+folder+"//")
	if m.DoubleSlash = first; !clean {
		return m
	}
	var group errgroup.Group
	for rule, before := range map[*KeyRule]string{
		&m.LeadingSlash: "/", &m.DotSegment: prefix + folder + "/./", &m.Backslash: prefix + folder + `\`,
		&m.Composed: prefix + "\u00e9", &m.Decomposed: prefix + "e\u0301",
	} {
		if rule == &m.LeadingSlash && prefix != "" {
			continue
		}
		group.Go(func() error {
			*rule, _ = tryKey(ctx, b, before)
			return nil
		})
	}
	_ = group.Wait()
	return m
}

// tryKey stores a canary at before and a random name, looks under which name it is
// listed, and removes it. clean reports that nothing of it is left.
func tryKey(ctx context.Context, b Bucket, before string) (rule KeyRule, clean bool) {
	key := ownKey(before, canaryName)
	if err := b.Put(ctx, key, []byte(canaryText)); err != nil {
		return KeyUnknown, !MayStillAct(err) || removeForms(ctx, b, []string{key})
	}
	forms := []string{key, keyspace.Fold(key), norm.NFD.String(keyspace.Fold(key))}
	defer func() {
		clean = removeForms(ctx, b, forms)
	}()
	for i, form := range forms {
		if i > 0 && form == key {
			continue
		}
		// After an error it may be listed: the rule is unknown then.
		if o, err := Listed(ctx, b, form); err == nil && o != nil {
			rule = KeyFolded
			if i == 0 {
				rule = KeyExact
			}
			break
		}
	}
	if rule == KeyExact {
		for _, form := range forms[1:] {
			if _, err := b.Stat(ctx, form); form != key && err == nil {
				return KeyEither, clean
			}
		}
	}
	return rule, clean
}

// removeForms removes a canary under each of its names, and reports whether all of it is
// gone.
func removeForms(ctx context.Context, b Bucket, forms []string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeCleanup)
	defer cancel()
	clean := true
	done := map[string]bool{}
	for i, form := range forms {
		if done[form] || i > 0 && !strings.Contains(form, canaryName) {
			continue
		}
		done[form] = true
		if b.Delete(ctx, form, "") != nil || removeVersions(ctx, b, form) != nil {
			clean = false
		}
	}
	return clean
}
