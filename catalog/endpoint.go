package catalog

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// CanonicalEndpoint returns an endpoint URL in the one spelling that is stored: the scheme
// and the host in lower case, no trailing dot, no default port, no leading zeros, IP
// addresses in their usual form. It refuses hosts that servers and resolvers read
// differently: an IPv4 address in another form than four decimal numbers, an IPv6 zone, a
// name that is not ASCII.
func CanonicalEndpoint(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return "", errors.New("is not a URL such as https://host:port")
	}
	name, port := splitHostPort(strings.ToLower(u.Host))
	host := canonicalName(name)
	switch _, err := netip.ParseAddr(strings.Trim(name, "[]")); {
	case strings.Contains(name, "%"):
		return "", errors.New("must have an IP address without a zone")
	case err == nil:
	case !isHostName(name):
		return "", errors.New("must have a host of letters, digits, hyphens and dots (an international name begins with xn--), or an IPv6 address in brackets")
	case isIPv4(host):
		return "", errors.New("must have an IPv4 address of four decimal numbers without leading zeros")
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", errors.New("must have a port from 1 to 65535")
		}
		port = strconv.FormatUint(n, 10)
	}
	u.Scheme = strings.ToLower(u.Scheme)
	if port == (map[string]string{"http": "80", "https": "443"})[u.Scheme] {
		port = ""
	}
	if u.Host = host; port != "" {
		u.Host += ":" + port
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// canonicalHost returns the host of an endpoint in one spelling, with its port unless that
// is the default of http or https. It makes sense of everything that a client may take for
// a URL, also of what CanonicalEndpoint refuses: older versions have stored it.
func canonicalHost(endpoint string) string {
	if endpoint == "" {
		return ""
	}
	host := strings.ToLower(strings.TrimSpace(endpoint))
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host = rest
	}
	if i := strings.IndexAny(host, `/\?#`); i >= 0 {
		host = host[:i]
	}
	host = host[strings.LastIndexByte(host, '@')+1:]
	name, port := splitHostPort(host)
	switch name, port = canonicalName(name), strings.TrimLeft(port, "0"); port {
	case "", "80", "443":
		return name
	}
	return name + ":" + port
}

// splitHostPort splits host:port; several colons without brackets are an IPv6 address.
func splitHostPort(host string) (name, port string) {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') && (strings.HasPrefix(host, "[") || strings.Count(host, ":") == 1) {
		return host[:i], host[i+1:]
	}
	return host, ""
}

// canonicalName returns a host without port in one spelling. The zone of an IPv6 address
// names an interface of one machine, so it does not count.
func canonicalName(name string) string {
	bare := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	bare, _, _ = strings.Cut(bare, "%")
	if addr, err := netip.ParseAddr(bare); err == nil {
		if addr = addr.Unmap(); addr.Is6() {
			return "[" + addr.String() + "]"
		}
		return addr.String()
	}
	name = strings.TrimRight(name, ".")
	if addr, ok := looseIPv4(name); ok {
		return addr.String()
	}
	return name
}

// looseIPv4 reads an IPv4 address as inet_aton does, and with it most clients: one to four
// numbers, decimal, octal or hexadecimal, of which the last fills the rest.
func looseIPv4(name string) (netip.Addr, bool) {
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var bits uint64
	for i, part := range parts {
		base := 10
		switch {
		case strings.HasPrefix(part, "0x"):
			part, base = part[2:], 16
			if part == "" {
				part = "0"
			}
		case strings.HasPrefix(part, "0"):
			base = 8
		}
		n, err := strconv.ParseUint(part, base, 32)
		room := uint(8)
		if i == len(parts)-1 {
			room = uint(8 * (5 - len(parts)))
		}
		if err != nil || n>>room != 0 {
			return netip.Addr{}, false
		}
		bits = bits<<room | n
	}
	return netip.AddrFrom4([4]byte{byte(bits >> 24), byte(bits >> 16), byte(bits >> 8), byte(bits)}), true
}

func isIPv4(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Is4()
}

func isHostName(name string) bool {
	for _, label := range strings.Split(strings.TrimSuffix(name, "."), ".") {
		if label == "" {
			return false
		}
		for _, c := range label {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
