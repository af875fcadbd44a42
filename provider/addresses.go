package provider

import (
	"net/netip"
	"regexp"
	"strings"
)

// refused are addresses that no rule can allow: link-local ones, at which clouds serve
// metadata and credentials to their machines, and the other places of such services.
var refused = prefixes(
	"0.0.0.0/32", "::/128", // "any" connects to this very machine
	"169.254.0.0/16", "fe80::/10", // link-local; metadata of AWS, Google, Azure, DigitalOcean
	"fd00:ec2::/32",      // AWS metadata over IPv6
	"100.100.100.200/32", // Alibaba Cloud metadata
	"192.0.0.192/32",     // Oracle Cloud metadata
	"168.63.129.16/32",   // Azure's wire server
	"224.0.0.0/4", "ff00::/8", "255.255.255.255/32",
)

// private are addresses of this machine and of networks that are not public.
var private = prefixes(
	"0.0.0.0/8", "127.0.0.0/8", "::1/128",
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10",
	"100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4",
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func never(addr netip.Addr) bool  { return within(refused, addr) }
func inside(addr netip.Addr) bool { return within(private, addr) }

func within(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// embeddedIPv4 is the IPv4 address to which translators (NAT64, RFC 6052) and tunnels
// (6to4, RFC 3056) carry traffic for an IPv6 address.
func embeddedIPv4(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(addr), netip.MustParsePrefix("::/96").Contains(addr) && !addr.IsLoopback():
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

const region = `[a-z]{2,4}(-[a-z]+)+-[0-9]+`

// amazonS3 are the hosts of S3 itself. Most of what else lies under amazonaws.com can be
// rented by anybody.
var amazonS3 = regexp.MustCompile(`^([a-z0-9.-]+\.)?(s3(-fips)?(\.dualstack)?(\.` + region + `)?|s3-` + region +
	`|s3-accelerate(\.dualstack)?)\.amazonaws\.com(\.cn)?$`)

// publicHost reports whether a host, in lower case, belongs to a provider's object
// storage and is reached over TLS.
func publicHost(host, port string) bool {
	if port != "443" {
		return false
	}
	switch host {
	case "storage.googleapis.com", "oauth2.googleapis.com":
		return true
	}
	return strings.HasSuffix(host, ".storage.googleapis.com") || strings.HasSuffix(host, ".digitaloceanspaces.com") ||
		amazonS3.MatchString(host)
}
