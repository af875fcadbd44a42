// Package node puts a firescan node together: it makes the parts of the rooms
// below, hands them to one another, runs them and stops them in order. It alone
// reads configuration, keys and secrets from files. See DESIGN.md.
package node
