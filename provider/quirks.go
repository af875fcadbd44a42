package provider

import (
	"context"
	"slices"
)

// Quirk is something that a server does otherwise than it should when it lists. Lists are
// right all the same; what it costs stands at each.
type Quirk string

// The quirks that are known.
const (
	// FirstVersion costs nothing.
	FirstVersion Quirk = "knows lists of version 1 alone"
	// StartInclusive costs one key a page.
	StartInclusive Quirk = "takes start-after as inclusive"
	// StartDecoded costs a walk from a little before for starts that hold '%' or '+'.
	StartDecoded Quirk = "decodes start-after twice"
	// StartIgnored costs the parallelism: a list leads from the beginning to its start.
	StartIgnored Quirk = "ignores start-after"
	// Unordered costs the parallelism, and memory for the whole list.
	Unordered Quirk = "lists keys out of order"
)

// Surveyor is a bucket whose server may have quirks. Implementations recognise them also
// by themselves, when a page shows one.
type Surveyor interface {
	// Survey looks for quirks with a few lists under prefix. Its error says that it could
	// not look, not that there is one.
	Survey(ctx context.Context, prefix string) error
	// Quirks are those that were seen up to now.
	Quirks() []Quirk
}

// QuirksOf tells the quirks that were seen at the server of a bucket.
func QuirksOf(b Bucket) []Quirk {
	if s, ok := As[Surveyor](b); ok {
		return s.Quirks()
	}
	return nil
}

// OneStream tells whether the ranges of a bucket are best listed one after the other,
// because every list leads through all that lies before it.
func OneStream(b Bucket) bool {
	quirks := QuirksOf(b)
	return slices.Contains(quirks, StartIgnored) || slices.Contains(quirks, Unordered)
}
