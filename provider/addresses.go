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
	"fd20:ce::254/128",   // Google's metadata over IPv6
	"fd00:42::42/128",    // Scaleway's metadata over IPv6
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
	"64:ff9b:1::/48", // translators of a network itself (RFC 8215), also to its private addresses
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

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")              // RFC 6052
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")            // RFC 8215
	compatible = netip.MustParsePrefix("::/96")                     // RFC 4291
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")           // RFC 2765
	sixToFour  = netip.MustParsePrefix("2002::/16")                 // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")                 // RFC 4380
	isatap     = [2][4]byte{{0, 0, 0x5e, 0xfe}, {2, 0, 0x5e, 0xfe}} // RFC 5214
)

// leadsInside reports whether translators or tunnels carry traffic for an IPv6 address to an
// IPv4 address that is never allowed, or is private.
func leadsInside(addr netip.Addr) bool {
	if !addr.Is6() || addr.IsLoopback() {
		return false
	}
	b := addr.As16()
	at := func(bytes ...int) netip.Addr {
		return netip.AddrFrom4([4]byte{b[bytes[0]], b[bytes[1]], b[bytes[2]], b[bytes[3]]})
	}
	last := at(12, 13, 14, 15)
	switch {
	case nat64.Contains(addr), compatible.Contains(addr), translated.Contains(addr), [4]byte(b[8:12]) == isatap[0], [4]byte(b[8:12]) == isatap[1]:
		return closed(last)
	case sixToFour.Contains(addr):
		return closed(at(2, 3, 4, 5))
	case teredo.Contains(addr):
		client := netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
		return closed(client) || closed(at(4, 5, 6, 7)) // and its server
	case nat64Local.Contains(addr):
		// The length of its prefix is not known. It may lead to private addresses where it
		// is allowed itself, but not to those that are never allowed.
		for _, v4 := range []netip.Addr{last, at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12)} {
			if never(v4) && !v4.IsUnspecified() {
				return true
			}
		}
	}
	return false
}

// closed reports whether no translated address may lead to an IPv4 address.
func closed(v4 netip.Addr) bool { return never(v4) || inside(v4) }

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
