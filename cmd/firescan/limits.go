package main

import (
	"github.com/spf13/pflag"

	"firescan/node"
)

// limitFlags adds the flags of quotas.
func limitFlags(f *pflag.FlagSet, c *node.Config) {
	l := &c.Limits
	f.IntVar(&l.OrgRequests, "limit-org-requests", l.OrgRequests, "maximum requests per second of an organization, on each node (0 = unlimited, as for all limits)")
	f.IntVar(&l.TokenRequests, "limit-token-requests", l.TokenRequests, "maximum requests per second of a token, on each node")
	f.IntVar(&l.Streams, "limit-streams", l.Streams, "maximum event streams (SSE and Socket.IO) of a node")
	f.IntVar(&l.OrgStreams, "limit-org-streams", l.OrgStreams, "maximum event streams of an organization, on each node")
	f.IntVar(&l.TokenStreams, "limit-token-streams", l.TokenStreams, "maximum event streams of a token, on each node")
	f.IntVar(&l.Imports, "limit-imports", l.Imports, "maximum concurrent imports of an organization, on each node")
	f.IntVar(&l.Destinations, "limit-destinations", l.Destinations, "maximum destinations of an organization")
	f.IntVar(&l.Syncs, "limit-syncs", l.Syncs, "maximum running syncs of an organization, for new requests")
	f.IntVar(&l.Tokens, "limit-tokens", l.Tokens, "maximum valid tokens of an organization")
	f.IntVar(&l.StoredResponses, "limit-stored-responses", l.StoredResponses, "maximum stored responses to requests with an Idempotency-Key of an organization; the oldest are forgotten")
	f.IntVar(&l.StoredResponseBytes, "limit-stored-response-bytes", l.StoredResponseBytes, "maximum size of these responses in bytes")
	f.IntVar(&l.AuditRate, "limit-audit-rate", l.AuditRate, "maximum requests per minute of an organization that are audited each by itself, on each node; more are counted by kind")
	f.IntVar(&l.AuditEntries, "limit-audit-entries", l.AuditEntries, "maximum audit entries that are kept of each organization, and of the cluster")
	f.IntVar(&l.Connections, "limit-connections", l.Connections, "maximum connections to --http-addr")
	f.IntVar(&l.AddressConnections, "limit-address-connections", l.AddressConnections, "maximum connections to --http-addr of an address, except trusted proxies")
	f.IntVar(&l.FailedLogins, "limit-failed-logins", l.FailedLogins, "maximum requests per minute with an unknown token from an address, on each node")
	f.StringSliceVar(&c.TrustedProxies, "trusted-proxies", c.TrustedProxies, "IP addresses or networks (CIDR) of load balancers whose X-Forwarded-For names the client; repeatable")
}
