// Package scanner turns buckets into segments of the index: it plans ranges of keys,
// shares them out among streams, lists and classifies what lies in them, seals the
// result and has it promoted; and it keeps promoted shards at what the catalog says
// since. See DESIGN.md for how, and for what holds when something fails.
package scanner
