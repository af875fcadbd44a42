package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The protocols of the cluster port, selected by ALPN (RFC 7301).
const (
	protocolRaft = "firescan-raft/1"
	protocolHTTP = "h2"
)

// Credentials are the certificate that this node presents and the authorities that it
// trusts. Handshakes read them, so that they may change at any time.
type Credentials interface {
	Certificate() (*tls.Certificate, error)
	Authorities() (*x509.CertPool, error)
}

// ErrOtherSecret is returned when the certificate of the other side is not of this cluster.
var ErrOtherSecret = errors.New("this node has another cluster secret (or another --cluster-ca): if the secret was rotated while it was away, " +
	"put the new one, from cluster.secret in the data directory of another node, before the old one in the secret file of this node, and restart it")

// errNotNode is returned for a certificate of an authority that nodes trust, which names
// none of them: an authority of the operator may issue certificates to others.
var errNotNode = errors.New("the certificate is not that of a node")

// security makes the TLS configurations of the cluster port: version 1.3, a certificate
// on both sides, and no resumption, so that every connection is verified in full.
type security struct {
	credentials Credentials
	// ids and allowed are Config.NodeIDs and Config.AllowNames.
	ids     func() []string
	allowed []string
}

// server returns the configuration for accepted connections.
func (s security) server() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protocolRaft, protocolHTTP},
		ClientAuth:             tls.RequireAnyClientCert, // VerifyConnection checks it
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.credentials.Certificate() },
		VerifyConnection: func(state tls.ConnectionState) error {
			leaf, err := s.verify(state, x509.ExtKeyUsageClientAuth)
			if err != nil || s.ids == nil {
				return err
			}
			return s.checkCaller(leaf, s.ids()...)
		},
	}
}

// client returns the configuration for a connection to the node id at host.
func (s security) client(id, host, protocol string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{protocol},
		// A node is identified by its id, which need not be a host name.
		InsecureSkipVerify:   true, //nolint:gosec // VerifyConnection verifies it
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.credentials.Certificate() },
		VerifyConnection: func(state tls.ConnectionState) error {
			leaf, err := s.verify(state, x509.ExtKeyUsageServerAuth)
			if err != nil {
				return err
			}
			if !hasName(leaf, id, host) && !s.allows(leaf) {
				return fmt.Errorf("the certificate is for %s, not for node %s at %s", describeNames(leaf), id, host)
			}
			if state.NegotiatedProtocol != protocol {
				return fmt.Errorf("node %s does not support %s: is it another version?", id, protocol)
			}
			return nil
		},
	}
}

// checkCaller returns an error unless a certificate is for one of these nodes.
func (s security) checkCaller(leaf *x509.Certificate, ids ...string) error {
	if hasName(leaf, ids...) || s.allows(leaf) {
		return nil
	}
	return fmt.Errorf("%w: it is for %s; issue one that has the id of the node among its names, or set --cluster-allow-name on all nodes",
		errNotNode, describeNames(leaf))
}

// hasName reports whether a certificate is for one of these ids or hosts.
func hasName(leaf *x509.Certificate, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return name != "" && (leaf.Subject.CommonName == name || leaf.VerifyHostname(name) == nil)
	})
}

// allows reports whether a certificate has a name that the operator allows for any node.
func (s security) allows(leaf *x509.Certificate) bool {
	return slices.ContainsFunc(s.allowed, func(pattern string) bool {
		return slices.ContainsFunc(append([]string{leaf.Subject.CommonName}, leaf.DNSNames...), func(name string) bool {
			ok, _ := path.Match(strings.ToLower(pattern), strings.ToLower(name)) // Config.AllowNames are valid
			return ok && name != ""
		})
	})
}

// describeNames lists the names of a certificate, the first few of them.
func describeNames(leaf *x509.Certificate) string {
	var names []string
	if leaf.Subject.CommonName != "" {
		names = append(names, strconv.Quote(leaf.Subject.CommonName))
	}
	for _, name := range leaf.DNSNames {
		names = append(names, strconv.Quote(name))
	}
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names[:min(len(names), 4)], ", ")
}

// verify checks the certificate chain of the other side and returns its leaf.
func (s security) verify(state tls.ConnectionState, usage x509.ExtKeyUsage) (*x509.Certificate, error) {
	roots, err := s.credentials.Authorities()
	if err != nil {
		return nil, err
	}
	if len(state.PeerCertificates) == 0 {
		return nil, errors.New("the other side presented no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	leaf := state.PeerCertificates[0]
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{usage}})
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return nil, fmt.Errorf("%w: %w", ErrOtherSecret, err)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return nil, fmt.Errorf("the certificate of %q is valid from %s to %s: check the clocks of both nodes: %w", leaf.Subject.CommonName,
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339), err)
	}
	return leaf, err
}

// explainAlert adds the likely cause to a TLS alert of the other side.
func explainAlert(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return fmt.Errorf("the other side refused this node's certificate (has it another cluster secret, or does it not know this node? its log has the reason): %w", err)
	}
	return err
}
