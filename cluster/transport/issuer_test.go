package transport

import (
	"bytes"
	"testing"
	"time"
)

func TestDerivedKeys(t *testing.T) {
	secret := bytes.Repeat([]byte{1}, 32)
	a, err := NewIssuer([][]byte{secret}, "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewIssuer([][]byte{secret}, "b", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.authority.certificate.Raw, b.authority.certificate.Raw) {
		t.Error("two nodes derive different authorities from one secret")
	}
	other, err := NewIssuer([][]byte{bytes.Repeat([]byte{2}, 32)}, "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a.authority.certificate.RawSubjectPublicKeyInfo, other.authority.certificate.RawSubjectPublicKeyInfo) {
		t.Error("one authority derived from two secrets")
	}
	gossip, err := GossipKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(gossip, a.authority.key.Seed()) {
		t.Error("one key for two purposes")
	}
	if _, err := GossipKey([]byte("short")); err == nil {
		t.Error("a short secret was accepted")
	}
}

// TestCertificateIsRenewed requests a certificate before and after half of its lifetime.
func TestCertificateIsRenewed(t *testing.T) {
	i, err := NewIssuer([][]byte{bytes.Repeat([]byte{1}, 32)}, "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	first, err := i.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := i.Certificate(); err != nil || again != first {
		t.Errorf("a new certificate was issued for the second handshake: %v", err)
	}
	i.renew = time.Now().Add(-time.Second)
	if next, err := i.Certificate(); err != nil || next == first {
		t.Errorf("the certificate was not renewed: %v", err)
	}
}
