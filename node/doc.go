// Package node composes a firescan node: it creates the parts of the packages below,
// connects, runs and stops them in order. Only this package reads configuration, keys and
// secrets from files.
package node
