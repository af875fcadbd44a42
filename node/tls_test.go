package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// selfSigned writes a certificate for 127.0.0.1 and its key, and returns a client that trusts it.
func selfSigned(t *testing.T) (certFile, keyFile string, trust *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "node.pem"), filepath.Join(dir, "node-key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, text := range map[string][]byte{
		certFile: certPEM, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}),
	} {
		if err := writeFile(file, text); err != nil {
			t.Fatal(err)
		}
	}
	trust = x509.NewCertPool()
	trust.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, trust
}

func TestTLS(t *testing.T) {
	c := testConfig(t)
	var trust *x509.CertPool
	c.TLSCert, c.TLSKey, trust = selfSigned(t)
	r := run(t, c)
	get := func(url string, transport *http.Transport) (int, string, error) {
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			return 0, "", err
		}
		return resp.StatusCode, resp.Proto, resp.Body.Close()
	}
	trusting := func(c *tls.Config) *http.Transport {
		c.RootCAs = trust
		return &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
	}
	if status, proto, err := get(r.URL(), trusting(&tls.Config{MinVersion: tls.VersionTLS12})); status != http.StatusOK || proto != "HTTP/2.0" || err != nil {
		t.Errorf("over TLS: status %d, %s, %v", status, proto, err)
	}
	old := trusting(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}) //nolint:gosec // to be refused
	if _, _, err := get(r.URL(), old); err == nil {
		t.Error("TLS 1.1 was taken")
	}
	if _, _, err := get(r.URL(), &http.Transport{}); err == nil {
		t.Error("a certificate that nobody vouches for was taken")
	}
	// A renewed certificate is taken without a restart, and one that is being written is not.
	if err := writeFile(c.TLSCert, []byte("half of a certif")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // until the files are checked again
	if status, _, err := get(r.URL(), trusting(&tls.Config{MinVersion: tls.VersionTLS12})); status != http.StatusOK || err != nil {
		t.Errorf("while the certificate is replaced: status %d, %v", status, err)
	}
	cert, key, renewed := selfSigned(t)
	for from, to := range map[string]string{cert: c.TLSCert, key: c.TLSKey} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second) // until the files are checked again
	trust = renewed
	if status, _, err := get(r.URL(), trusting(&tls.Config{MinVersion: tls.VersionTLS12})); status != http.StatusOK || err != nil {
		t.Errorf("with a renewed certificate: status %d, %v", status, err)
	}
	// Without TLS the server only responds that it requires TLS.
	if status, _, err := get("http://"+r.Addr(), &http.Transport{}); err == nil && status != http.StatusBadRequest {
		t.Errorf("without TLS: status %d", status)
	}
}
