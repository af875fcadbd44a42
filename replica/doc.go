// Package replica keeps the shards of the index on the nodes that should have them: it opens
// promoted generations, applies deltas, copies segments between nodes, repairs damaged shards
// and removes data that is no longer needed.
package replica
