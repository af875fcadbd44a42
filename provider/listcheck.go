package provider

import (
	"bytes"
	"context"
	"errors"

	"firescan/keyspace"
)

// CheckLists lists the beginning of prefix, once from its start and once from a key in
// the middle, and returns what the server does wrong: ErrUnordered, ErrStartIgnored or
// ErrStartMoved, or nil. What it finds, it has seen twice, since any response may be
// damaged on its way.
//
// It makes two lists, and up to two more where a serial listing is possible. From then on
// a bucket of Serial lists in the way that the check found right. Where it cannot, the
// fault is the error.
func CheckLists(ctx context.Context, b Bucket, prefix string) (fault, err error) {
	ranged := b
	s, isSerial := As[*serial](b)
	if isSerial {
		ranged = s.Bucket
	}
	for range 2 {
		if fault, err = checkLists(ctx, ranged, prefix); fault == nil || err != nil {
			break
		}
	}
	switch {
	case err != nil:
		return nil, err
	case fault == nil && isSerial:
		s.faulty.Store(false)
	case fault != nil && !isSerial:
		return nil, untrusted(fault)
	case fault != nil:
		if err := s.tryFirst(ctx, prefix); errors.Is(err, errors.ErrUnsupported) {
			return nil, untrusted(fault)
		} else if err != nil {
			return nil, err
		}
		s.faulty.Store(true)
	}
	return fault, nil
}

func checkLists(ctx context.Context, b Bucket, prefix string) (fault, err error) {
	var first, next Page
	if err := b.List(ctx, ListRequest{Prefix: prefix}, &first); err != nil {
		return faultOrError(err)
	}
	if len(first.Objects) < 2 {
		return nil, nil
	}
	at := startOf(first.Objects)
	start := keyspace.After(string(first.Objects[at].Key))
	if err := b.List(ctx, ListRequest{Prefix: prefix, Start: start}, &next); err != nil {
		return faultOrError(err)
	}
	if rest := first.Objects[at+1:]; len(rest) > 0 && !beginsWith(next, rest[0].Key) {
		return ErrStartMoved, nil
	}
	if first.More {
		return checkOrder(ctx, b, prefix)
	}
	return nil, nil
}

func faultOrError(err error) (fault, _ error) {
	if fault := listFault(err); fault != nil {
		return fault, nil
	}
	return nil, err
}

// beginsWith reports whether a page begins with key, or has nothing but placeholders.
func beginsWith(page Page, key []byte) bool {
	if len(page.Objects) == 0 {
		return page.More
	}
	return bytes.Equal(page.Objects[0].Key, key)
}

// startOf returns which object a list is to start after: one whose key URL decoding would
// alter, if there is one. A list after the first object could be one from the beginning.
func startOf(objects []Object) int {
	for i := 1; i < len(objects)-1; i++ {
		if bytes.ContainsAny(objects[i].Key, "%+") {
			return i
		}
	}
	return 1
}

// checkOrder reads two pages by tokens. A server that sorts each page and not the whole
// list is seen in no other way.
func checkOrder(ctx context.Context, b Bucket, prefix string) (fault, err error) {
	lister, ok := b.(SerialLister)
	if !ok {
		return nil, nil
	}
	var last []byte
	token := ""
	for range 2 {
		var page Page
		if token, err = lister.ListSerial(ctx, prefix, token, &page); err != nil {
			if errors.Is(err, errors.ErrUnsupported) {
				err = nil
			}
			return nil, err
		}
		for _, o := range page.Objects {
			if bytes.Compare(o.Key, last) <= 0 {
				return ErrUnordered, nil
			}
			last = o.Key
		}
		if token == "" {
			break
		}
	}
	return nil, nil
}
