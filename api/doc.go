// Package api is the public face of firescan: the Storage API over HTTP, the feed that
// fills the catalog, events, and the endpoints for operators and probes.
//
// Every endpoint is a line of the table in routes.go; every error becomes a response
// through the table in errors.go. Handlers read the catalog and the index of this node, and
// change things only by proposing commands, so a Server has no state that other nodes lack.
// Small interfaces declare what it needs of the packages below; node passes in the concrete
// types.
package api
