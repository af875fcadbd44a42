package s3

import (
	"errors"
	"fmt"
)

// What can be wrong with a page. People read the texts, which quote nothing of the
// server.
var (
	errEmpty     = errors.New("the response is empty")
	errOutside   = errors.New("a key lies outside of what was asked for")
	errMissing   = errors.New("an element that every page has is missing")
	errTwice     = errors.New("an element stands twice")
	errCount     = errors.New("the number of keys differs from the count")
	errToken     = errors.New("more keys follow, but there is no token")
	errVersion   = fmt.Errorf("%w, as in the first version of lists", errToken)
	errNoMore    = errors.New("more keys follow, but the page has none")
	errEncoding  = errors.New("the key encoding is not known")
	errControl   = errors.New("a key holds a bare carriage return")
	errTrailing  = errors.New("something follows the end of the response")
	errUnclear   = errors.New("a truth value is neither true nor false")
	errNotAPage  = errors.New("the response is no list of objects")
	errNoKey     = errors.New("an object has no key")
	errNoSize    = errors.New("an object has no size")
	errUnfolded  = errors.New("a folded prefix was not asked for")
	errBadFolded = errors.New("a folded prefix does not end in the delimiter")

	errNotDeleted = errors.New("the response is no result of deletes")
	errNoOutcome  = errors.New("the response has two different results for a key")
	errNoCode     = errors.New("an object's error has no code")
	errMissed     = errors.New("the response has no result for the object")
)
