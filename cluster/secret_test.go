package cluster

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDerivedKeys(t *testing.T) {
	secret := bytes.Repeat([]byte{1}, 32)
	a, err := newIssuer(secret, "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newIssuer(secret, "b", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.authority.Raw, b.authority.Raw) {
		t.Error("two nodes make two authorities of one secret")
	}
	other, err := newIssuer(bytes.Repeat([]byte{2}, 32), "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a.authority.RawSubjectPublicKeyInfo, other.authority.RawSubjectPublicKeyInfo) {
		t.Error("two secrets make one authority")
	}
	gossip, err := derive(secret, purposeGossip)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(gossip, a.key.Seed()) {
		t.Error("one key for two purposes")
	}
	if _, err := derive([]byte("short"), purposeGossip); err == nil {
		t.Error("a short secret was taken")
	}
}

// TestCertificateIsRenewed asks for a certificate before and after half of its life.
func TestCertificateIsRenewed(t *testing.T) {
	i, err := newIssuer(bytes.Repeat([]byte{1}, 32), "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	first, err := i.certificate()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := i.certificate(); err != nil || again != first {
		t.Errorf("it is issued for each handshake: %v", err)
	}
	i.renew = time.Now().Add(-time.Second)
	if next, err := i.certificate(); err != nil || next == first {
		t.Errorf("it is not renewed: %v", err)
	}
}

// TestClusterOutlivesCertificates runs a cluster for several lives of its certificates.
func TestClusterOutlivesCertificates(t *testing.T) {
	r := newRig(t)
	r.expect = 2
	short := fast
	short.Certificate = 2 * time.Second
	nodes := []*node{r.node("n1"), r.node("n2")}
	for _, n := range nodes {
		n.change = func(c *Config) { c.Timing = short }
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	first, err := nodes[0].security.certificate()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(first.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(leaf.NotAfter.Add(time.Second)))
	for i, n := range nodes {
		// New connections, with the certificates of now.
		n.client.CloseIdleConnections()
		n.put(i)
	}
	nodes[1].kill()
	nodes[1].start().ready()
}

func TestOtherSecretIsRefused(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(2)
	stranger := r.node("n3")
	stranger.change = func(c *Config) { c.Secret = bytes.Repeat([]byte("x"), 32) }
	stranger.start()
	stranger.says("has another cluster secret")
	nodes[0].says("it has another cluster secret than this one")
	// The same on the cluster port, both ways.
	stranger.net(nodes[0])
	if _, err := stranger.dial(t.Context(), nodes[0].id, protocolRaft); !errors.Is(err, errOtherSecret) {
		t.Errorf("dialled: %v", err)
	}
	nodes[0].says("refused this node's certificate (has it another cluster secret?)")
	if len(nodes[0].Peers()) != 2 || stranger.Ready() == nil {
		t.Error("the stranger came in")
	}
}

// net tells a node by hand where another one is.
func (n *node) net(other *node) {
	n.gossip.mu.Lock()
	defer n.gossip.mu.Unlock()
	n.gossip.contacts[other.id] = contact{meta: other.meta(), alive: true}
}

// authority is an operator's own.
type authority struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "own"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, private}
}

// issue writes a certificate with these names into files.
func (a *authority) issue(t *testing.T, dir string, names ...string) Files {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: names, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	f := Files{Cert: filepath.Join(dir, "node.pem"), Key: filepath.Join(dir, "node.key"), CA: filepath.Join(dir, "ca.pem")}
	for file, block := range map[string]*pem.Block{
		f.Cert: {Type: "CERTIFICATE", Bytes: der}, f.Key: {Type: "PRIVATE KEY", Bytes: key}, f.CA: {Type: "CERTIFICATE", Bytes: a.cert.Raw},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// TestOwnCertificates runs a cluster on certificates from files, and replaces them.
func TestOwnCertificates(t *testing.T) {
	r := newRig(t)
	r.expect = 2
	own := newAuthority(t)
	nodes := []*node{r.node("n1"), r.node("n2")}
	dirs := []string{t.TempDir(), t.TempDir()}
	for i, n := range nodes {
		files := own.issue(t, dirs[i], n.id)
		n.change = func(c *Config) { c.Certificates = files }
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	nodes[0].put(1)
	nodes[1].has(1)

	loaded, ok := nodes[0].security.credentials.(*certFiles)
	if !ok {
		t.Fatal("the files are not used")
	}
	before, err := loaded.certificate()
	if err != nil {
		t.Fatal(err)
	}
	own.issue(t, dirs[0], "n1", "n1.example.com")
	eventually(t, "the new certificate is used", func() error {
		now, err := loaded.certificate()
		if err == nil && now == before {
			err = errors.New("it is not")
		}
		return err
	})
	// Half a file is no reason to stop.
	now, err := loaded.certificate()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(loaded.files.Cert, []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded.looked = time.Time{}
	if still, err := loaded.certificate(); err != nil || still != now {
		t.Errorf("with half a file: %v", err)
	}
	// A certificate of another node is refused, although the authority is the right one.
	impostor := security{mustFiles(t, own.issue(t, t.TempDir(), "n3"))}
	if err := shake(t, nodes[1].security, impostor, "n1"); err == nil {
		t.Error("n3 passed for n1")
	}
	if err := shake(t, nodes[1].security, impostor, "n3"); err != nil {
		t.Errorf("n3: %v", err)
	}
	stranger := security{mustFiles(t, newAuthority(t).issue(t, t.TempDir(), "n1"))}
	if err := shake(t, nodes[1].security, stranger, "n1"); !errors.Is(err, errOtherSecret) {
		t.Errorf("another authority: %v", err)
	}
}

func mustFiles(t *testing.T, f Files) *certFiles {
	t.Helper()
	c, err := openCertFiles(f, discard)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shake is a handshake of client with server, which is to be id.
func shake(t *testing.T, client, server security, id string) error {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server.server())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			_ = c.(*tls.Conn).HandshakeContext(t.Context())
			_ = c.Close()
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client.client(id, "elsewhere", protocolHTTP))
	if err == nil {
		_ = c.Close()
	}
	return err
}
