package s3

import (
	"errors"
	"fmt"
)

// What can be wrong with a page. The texts reach people: they tell what, and nothing of
// what the server sent.
var (
	errEmpty     = errors.New("the answer is empty")
	errOutside   = errors.New("a key lies outside of what was asked for")
	errMissing   = errors.New("an element that every page has is missing")
	errTwice     = errors.New("an element stands twice")
	errCount     = errors.New("the number of keys is not the one that is told")
	errToken     = errors.New("more keys are told of, but no token")
	errVersion   = fmt.Errorf("%w, as in the first version of lists", errToken)
	errNoMore    = errors.New("more keys are told of, but none is on the page")
	errEncoding  = errors.New("the key encoding is not known")
	errControl   = errors.New("a key holds a bare carriage return")
	errTrailing  = errors.New("something follows the end of the answer")
	errUnclear   = errors.New("a truth value is neither true nor false")
	errNotAPage  = errors.New("the answer is no list of objects")
	errNoKey     = errors.New("an object has no key")
	errNoSize    = errors.New("an object has no size")
	errUnfolded  = errors.New("a folded prefix was not asked for")
	errBadFolded = errors.New("a folded prefix does not end in the delimiter")

	errNotDeleted = errors.New("the answer does not tell what was deleted")
	errNoOutcome  = errors.New("the answer tells of a key twice, and not the same")
	errNoCode     = errors.New("an object's error has no code")
	errMissed     = errors.New("the answer tells nothing of the object")
)
