package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

// The protocols on the cluster port, told apart by ALPN (RFC 7301).
const (
	protocolRaft = "firescan-raft/1"
	protocolHTTP = "h2"
)

// credentials are what this node proves itself with and whom it trusts.
type credentials interface {
	certificate() (*tls.Certificate, error)
	authorities() (*x509.CertPool, error)
}

// errOtherSecret is returned when the other side's certificate is not of this cluster.
var errOtherSecret = errors.New("this node has another cluster secret (or another --cluster-ca)")

// security makes the TLS configurations of the cluster port: version 1.3, a certificate
// on both sides, and no resumption, so that every connection is checked in full.
type security struct{ credentials }

// server is for connections that others open.
func (s security) server() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protocolRaft, protocolHTTP},
		ClientAuth:             tls.RequireAnyClientCert, // VerifyConnection checks it
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate() },
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := s.verify(state, x509.ExtKeyUsageClientAuth)
			return err
		},
	}
}

// client is for a connection to the node id at host.
func (s security) client(id, host, protocol string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{protocol},
		// A node is known by its id, which need not be a name of a host, so that the
		// checks are our own: see VerifyConnection.
		InsecureSkipVerify:   true, //nolint:gosec // verified right below
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.certificate() },
		VerifyConnection: func(state tls.ConnectionState) error {
			leaf, err := s.verify(state, x509.ExtKeyUsageServerAuth)
			if err != nil {
				return err
			}
			if leaf.Subject.CommonName != id && leaf.VerifyHostname(id) != nil && leaf.VerifyHostname(host) != nil {
				return fmt.Errorf("the certificate is that of %q, not of node %s at %s", leaf.Subject.CommonName, id, host)
			}
			if state.NegotiatedProtocol != protocol {
				return fmt.Errorf("node %s does not speak %s: is it of another version?", id, protocol)
			}
			return nil
		},
	}
}

// verify checks the chain of the other side's certificate.
func (s security) verify(state tls.ConnectionState, usage x509.ExtKeyUsage) (*x509.Certificate, error) {
	roots, err := s.authorities()
	if err != nil {
		return nil, err
	}
	if len(state.PeerCertificates) == 0 {
		return nil, errors.New("the other side has no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	leaf := state.PeerCertificates[0]
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return nil, fmt.Errorf("%w: %w", errOtherSecret, err)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return nil, fmt.Errorf("the certificate of %q was good from %s to %s: are the clocks right? %w", leaf.Subject.CommonName,
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339), err)
	}
	return leaf, err
}

// refusal says, for the log of a node that another one refused, what that means. TLS tells
// no more than an alert.
func refusal(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return fmt.Errorf("the other side refused this node's certificate (has it another cluster secret?): %w", err)
	}
	return err
}
