package transport

import (
	"crypto/tls"
	"time"
)

// ProtocolRaft and ProtocolHTTP are the ALPN names of the cluster port.
const (
	ProtocolRaft = protocolRaft
	ProtocolHTTP = protocolHTTP
)

// CheckNow makes the next use of the certificate check the files.
func (r *Reloader) CheckNow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checked = time.Time{}
}

// ServerConfig returns the TLS configuration of the cluster port.
func ServerConfig(c Credentials) *tls.Config { return security{credentials: c}.server() }

// ServerConfigFor is ServerConfig with Config.NodeIDs and AllowNames.
func ServerConfigFor(c Credentials, ids []string, allowed ...string) *tls.Config {
	return security{c, func() []string { return ids }, allowed}.server()
}

// ClientConfig returns the TLS configuration for a connection to node id at host.
func ClientConfig(c Credentials, id, host, protocol string) *tls.Config {
	return security{credentials: c}.client(id, host, protocol)
}

// MaxPendingPerHost is the limit of handshakes for each address.
const MaxPendingPerHost = maxPendingPerHost
