// Package keyspace holds the laws of object keys: ranges and sets of ranges, prefix ends,
// successors and stems. Keys are byte strings in bytewise order. Every rule that protects
// data exists here once; the package depends on the standard library alone.
package keyspace
