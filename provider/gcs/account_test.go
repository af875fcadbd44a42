package gcs_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"firescan/provider"
	"firescan/provider/gcs"
	"firescan/provider/providertest"
)

const email = "scanner@a-project.iam.gserviceaccount.com"

// private is the key of the service account that google knows.
var private = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// stranger is a key that it does not know.
var stranger = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func pkcs8(key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// keyJSON is a key as Google hands it out, with some of its fields changed; nil takes one
// out.
func keyJSON(changed map[string]any) string {
	fields := map[string]any{
		"type": "service_account", "project_id": "a-project", "private_key_id": "0123456789abcdef",
		"private_key": pkcs8(private()), "client_email": email, "client_id": "1234567890",
		"auth_uri":                    "https://accounts.google.com/o/oauth2/auth",
		"token_uri":                   "https://oauth2.googleapis.com/token",
		"auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
		"client_x509_cert_url":        "https://www.googleapis.com/robot/v1/metadata/x509/scanner",
		"universe_domain":             "googleapis.com",
	}
	for field, value := range changed {
		if fields[field] = value; value == nil {
			delete(fields, field)
		}
	}
	text, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// signedIn is an account at g.
func signedIn(t *testing.T, g *google) provider.Account {
	t.Helper()
	a, err := gcs.New(gcs.Config{Key: keyJSON(nil), HTTPClient: g.client(t)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestConformanceAsDocumented runs the suite against what Google documents: pages in one
// order of names and prefixes, and with empty responses in between.
func TestConformanceAsDocumented(t *testing.T) {
	for name, g := range map[string]*google{"google": newGoogle(), "barren responses": newGoogle(), "small pages": newGoogle()} {
		t.Run(name, func(t *testing.T) {
			g.barren = name == "barren responses"
			if name == "small pages" {
				g.pageSize = 2
			}
			var buckets atomic.Int64
			client := g.client(t)
			open := func(t *testing.T) (provider.Account, string) {
				t.Helper()
				a, err := gcs.New(gcs.Config{Key: keyJSON(nil), HTTPClient: client})
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("bucket-%d", buckets.Add(1))
				if err := a.CreateBucket(t.Context(), name, ""); err != nil {
					t.Fatal(err)
				}
				return a, name
			}
			providertest.Run(t, open, providertest.Quirks{
				Unfit:      func(key string) bool { return strings.ContainsAny(key, "\r\n") },
				SmallPages: g.pageSize > 0,
				Stranger: func(t *testing.T) provider.Account {
					t.Helper()
					a, err := gcs.New(gcs.Config{Key: keyJSON(map[string]any{"private_key": pkcs8(stranger())}), HTTPClient: client})
					if err != nil {
						t.Fatal(err)
					}
					return a
				},
			})
		})
	}
}
