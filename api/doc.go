// Package api is firescan's public face: the Storage API over HTTP, the feed that
// fills the catalog, server-sent events, and the endpoints that operators and
// probes use.
//
// Every endpoint is one line of the table in route.go; every failure becomes an
// answer through the table in errors.go. Handlers read the catalog and the index
// of their own node and change things only by proposing commands, so a Server
// holds no state that another node would lack. What it needs of the rest of the
// program are the small interfaces in server.go.
package api
