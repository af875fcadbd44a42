package node

import (
	"fmt"
	"net/netip"

	"firescan/api"
)

// limits returns the limits of the API with the proxies of the configuration.
func (c *Config) limits() (api.Limits, error) {
	l := c.Limits
	for _, text := range c.TrustedProxies {
		proxy, err := netip.ParsePrefix(text)
		if one, notNetwork := netip.ParseAddr(text); notNetwork == nil {
			proxy, err = one.Prefix(one.BitLen())
		}
		if err != nil {
			return l, fmt.Errorf("--trusted-proxies %q is neither an IP address nor a network: give for example 10.0.0.0/8", text)
		}
		l.TrustedProxies = append(l.TrustedProxies, proxy.Masked())
	}
	return l, nil
}

// checkLimits validates the limits of the API.
func (c *Config) checkLimits(wrong func(format string, args ...any)) {
	if _, err := c.limits(); err != nil {
		wrong("%w", err)
	}
	for flag, limit := range map[string]int{
		"org-requests": c.Limits.OrgRequests, "token-requests": c.Limits.TokenRequests, "failed-logins": c.Limits.FailedLogins,
		"streams": c.Limits.Streams, "org-streams": c.Limits.OrgStreams, "token-streams": c.Limits.TokenStreams,
		"imports": c.Limits.Imports, "destinations": c.Limits.Destinations, "syncs": c.Limits.Syncs, "tokens": c.Limits.Tokens,
		"stored-responses": c.Limits.StoredResponses, "stored-response-bytes": c.Limits.StoredResponseBytes,
		"connections": c.Limits.Connections, "address-connections": c.Limits.AddressConnections,
		"audit-rate": c.Limits.AuditRate, "audit-entries": c.Limits.AuditEntries,
	} {
		if limit < 0 {
			wrong("--limit-%s is %d: give a number, or 0 for no limit", flag, limit)
		}
	}
}
