package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firescan/catalog"
	"firescan/provider"
	"firescan/provider/providertest/connectproxy"
)

// internetOfProviders is a server that is all providers, with a certificate of a private CA,
// and the file with that CA.
func internetOfProviders(t *testing.T) (address, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the test's CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"*.us-east-1.amazonaws.com", "*.digitaloceanspaces.com", "storage.googleapis.com", "oauth2.googleapis.com"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Host {
		case "oauth2.googleapis.com":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`)
		case "storage.googleapis.com":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"kind":"storage#buckets"}`)
		default:
			_, _ = io.WriteString(w, `<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>`)
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}} //nolint:gosec // the test's own
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), caFile
}

// TestEgressProxyOfEachProvider: every client of every provider, and signing in, goes through
// the proxy, and trusts the CA of --provider-ca-file, without which nothing is sent.
func TestEgressProxyOfEachProvider(t *testing.T) {
	address, caFile := internetOfProviders(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "a-project", "client_email": "a@p.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})),
	})
	if err != nil {
		t.Fatal(err)
	}
	s3, google := map[string]string{accessKeyID: "k", secretAccessKey: "s"}, map[string]string{serviceAccountKey: string(account)}
	for _, c := range []struct {
		typ, region string
		credentials map[string]string
		asked       []string
	}{
		{catalog.TypeS3, "us-east-1", s3, []string{"s3.us-east-1.amazonaws.com:443"}},
		{catalog.TypeSpaces, "nyc3", s3, []string{"nyc3.digitaloceanspaces.com:443"}},
		{catalog.TypeGCS, "", google, []string{"oauth2.googleapis.com:443", "storage.googleapis.com:443"}},
		{catalog.TypeFirebase, "", google, []string{"oauth2.googleapis.com:443", "storage.googleapis.com:443"}},
	} {
		for _, file := range []string{caFile, ""} {
			proxy := connectproxy.Start(t, address)
			b := testBuckets(t)
			if b.egress, err = newEgress(&Config{EgressProxy: proxy.URL, ProviderCAFile: file}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(b.egress.Close)
			opened, err := b.Account(t.Context(), "org1", c.typ, "", c.region, c.credentials)
			if err != nil {
				t.Fatalf("%s: %v", c.typ, err)
			}
			_, err = opened.Buckets(t.Context())
			if file == "" {
				if provider.KindOf(err) != provider.Unavailable || !strings.Contains(err.Error(), "--provider-ca-file") {
					t.Errorf("%s without the CA: %v", c.typ, err)
				}
				continue
			}
			asked := proxy.Asked()
			for _, host := range c.asked {
				if asked[host] == 0 {
					err = &provider.Error{Reason: "the proxy was not asked for " + host}
				}
			}
			if err != nil || len(asked) != len(c.asked) {
				t.Errorf("%s: %v, the proxy was asked for %v", c.typ, err, asked)
			}
		}
	}
}

func TestProviderCAFile(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong.pem")
	if err := os.WriteFile(wrong, []byte("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"": "", wrong: "--provider-ca-file: " + wrong + " has no certificate", filepath.Join(t.TempDir(), "none.pem"): "--provider-ca-file: open",
	} {
		if _, err := newEgress(&Config{ProviderCAFile: file}); want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", file, err, want)
		}
	}
}
