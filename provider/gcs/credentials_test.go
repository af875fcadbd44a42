package gcs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"firescan/provider"
	"firescan/provider/gcs"
)

// never is a client that makes no request.
func never(t *testing.T) *http.Client {
	t.Helper()
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		t.Errorf("a request was made: %s %s", r.Method, r.URL)
		return nil, errors.New("no network")
	})}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestKeys(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private())})
	for name, c := range map[string]struct {
		key string
		why string // a part of the reason; "" is accepted
	}{
		"as Google hands it out": {keyJSON(nil), ""},
		"on one line":            {strings.ReplaceAll(keyJSON(nil), "\n", ""), ""},
		"no universe":            {keyJSON(map[string]any{"universe_domain": nil}), ""},
		"the older form of key":  {keyJSON(map[string]any{"private_key": string(pkcs1)}), ""},
		"fields of other credentials": {keyJSON(map[string]any{
			"credential_source":                 map[string]any{"url": "http://169.254.169.254", "file": "/etc/passwd", "executable": map[string]any{"command": "/bin/sh"}},
			"service_account_impersonation_url": "https://evil.example", "token_url": "https://evil.example", "auth_uri": "https://evil.example",
			"quota_project_id": "other",
		}), ""},

		"nothing":                          {"{}", "service account"},
		"no JSON":                          {"-----BEGIN PRIVATE KEY-----", "not the JSON"},
		"a JSON string":                    {`"` + strings.ReplaceAll(keyJSON(nil), `"`, `\"`) + `"`, "not the JSON"},
		"a list":                           {"[" + keyJSON(nil) + "]", "not the JSON"},
		"something behind":                 {keyJSON(nil) + "{}", "not the JSON"},
		"too long":                         {keyJSON(map[string]any{"x": strings.Repeat("x", 20_000)}), "longer"},
		"a user's":                         {keyJSON(map[string]any{"type": "authorized_user"}), "service_account"},
		"from outside of Google":           {keyJSON(map[string]any{"type": "external_account"}), "service_account"},
		"impersonation":                    {keyJSON(map[string]any{"type": "impersonated_service_account"}), "service_account"},
		"no type":                          {keyJSON(map[string]any{"type": nil}), "service_account"},
		"a foreign token address":          {keyJSON(map[string]any{"token_uri": "https://evil.example/token"}), "token_uri"},
		"a token address inside":           {keyJSON(map[string]any{"token_uri": "http://169.254.169.254/token"}), "token_uri"},
		"a token address that looks right": {keyJSON(map[string]any{"token_uri": "https://oauth2.googleapis.com/token?x=y"}), "token_uri"},
		"a token address in the clear":     {keyJSON(map[string]any{"token_uri": "http://oauth2.googleapis.com/token"}), "token_uri"},
		"no token address":                 {keyJSON(map[string]any{"token_uri": nil}), "token_uri"},
		"another universe":                 {keyJSON(map[string]any{"universe_domain": "evil.example"}), "universe_domain"},
		"no address":                       {keyJSON(map[string]any{"client_email": nil}), "client_email"},
		"a person's address":               {keyJSON(map[string]any{"client_email": "someone@example.com"}), "client_email"},
		"an address with more in it":       {keyJSON(map[string]any{"client_email": "a@b.gserviceaccount.com\r\nHost: evil"}), "client_email"},
		"a project that is none":           {keyJSON(map[string]any{"project_id": "../../x"}), "project_id"},
		"no private key":                   {keyJSON(map[string]any{"private_key": nil}), "PEM"},
		"a private key without lines":      {keyJSON(map[string]any{"private_key": strings.ReplaceAll(pkcs8(private()), "\n", `\n`)}), "PEM"},
		"a private key that is noise":      {keyJSON(map[string]any{"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}), "cannot be read"},
		"a short private key":              {keyJSON(map[string]any{"private_key": pkcs8(small)}), "bits"},
		"a private key on a curve":         {keyJSON(map[string]any{"private_key": pkcs8(curve)}), "RSA"},
		"a private key of another type":    {keyJSON(map[string]any{"private_key": 7}), "not the JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := gcs.New(gcs.Config{Key: c.key, HTTPClient: never(t)})
			if c.why == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*provider.Error](err)
			if !ok || e.Kind != provider.Credentials || !strings.Contains(e.Reason, c.why) {
				t.Fatalf("error %v, want %q in it", err, c.why)
			}
			if strings.Contains(err.Error(), "evil") || strings.Contains(err.Error(), "BEGIN") || e.Err != nil {
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
}

func TestKeyFiles(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "keys")
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "good.json"), keyJSON(nil))
	write(filepath.Join(dir, "..odd.json"), keyJSON(nil))
	write(filepath.Join(dir, "sub", "below.json"), keyJSON(nil))
	write(filepath.Join(dir, "other.txt"), "no key")
	write(filepath.Join(dir, "long.json"), keyJSON(nil)+strings.Repeat(" ", 20_000))
	write(filepath.Join(parent, "outside.json"), keyJSON(nil))
	write(filepath.Join(parent, "others", "good.json"), keyJSON(nil))
	link("../others/good.json", "theirs.json")
	link("good.json", "link.json")
	link("../outside.json", "up.json")
	link(filepath.Join(parent, "outside.json"), "absolute.json")
	link("..", "directory")
	link("loop", "loop")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, good := range map[string]bool{
		"good.json": true, "..odd.json": true, "link.json": true,
		"missing.json": false, "other.txt": false, "long.json": false, "pipe.json": false, "sub": false, "loop": false,
		"sub/below.json": false, "../outside.json": false, "directory/outside.json": false, "./good.json": false,
		filepath.Join(dir, "good.json"): true, dir + "/../keys/good.json": false, dir + "//good.json": false, dir + "/sub/../good.json": false,
		dir + "/up.json": false, filepath.Join(parent, "outside.json"): false, filepath.Join(parent, "others", "good.json"): false, dir: false, "..": false, ".": false, `..\outside.json`: false,
		"good.json\x00": false, "up.json": false, "absolute.json": false, "theirs.json": false, "directory": false, "good.json/": false,
	} {
		_, err := gcs.New(gcs.Config{KeyFilename: name, KeyDir: parent, KeyOwner: "keys", HTTPClient: never(t)})
		if (err == nil) != good || err != nil && (provider.KindOf(err) != provider.Credentials || strings.Contains(err.Error(), parent)) {
			t.Errorf("%q: %v, want good: %v", name, err, good)
		}
	}
	if _, err := gcs.New(gcs.Config{KeyFilename: "good.json", HTTPClient: never(t)}); provider.KindOf(err) != provider.Credentials {
		t.Errorf("a key file without a directory: %v", err)
	}
	if _, err := gcs.New(gcs.Config{KeyFilename: "good.json", KeyDir: filepath.Join(parent, "none"), HTTPClient: never(t)}); provider.KindOf(err) != provider.Credentials {
		t.Errorf("a key file in no directory: %v", err)
	}
	for _, owner := range []string{"", ".", "..", "none", "keys/sub", "keys/../keys", "keys/directory"} {
		if _, err := gcs.New(gcs.Config{KeyFilename: "good.json", KeyDir: parent, KeyOwner: owner, HTTPClient: never(t)}); provider.KindOf(err) != provider.Credentials {
			t.Errorf("the directory %q: %v", owner, err)
		}
	}
}

func TestConfigurations(t *testing.T) {
	for name, c := range map[string]struct {
		config gcs.Config
		want   provider.Kind
		good   bool
	}{
		"a key":                           {config: gcs.Config{Key: keyJSON(nil)}, good: true},
		"Google by its own name":          {config: gcs.Config{Key: keyJSON(nil), Endpoint: "https://storage.googleapis.com:443/"}, good: true},
		"an emulator":                     {config: gcs.Config{Endpoint: "http://127.0.0.1:4443"}, good: true},
		"an emulator, and an invalid key": {config: gcs.Config{Endpoint: "http://127.0.0.1:4443", Key: "{}"}, good: true},
		"an emulator, and no such file":   {config: gcs.Config{Endpoint: "http://127.0.0.1:4443", KeyFilename: "k.json", KeyDir: t.TempDir()}, want: provider.Credentials},
		"an emulator, and two keys":       {config: gcs.Config{Endpoint: "http://127.0.0.1:4443", Key: "{}", KeyFilename: "k.json"}, want: provider.Credentials},
		"nothing":                         {config: gcs.Config{}, want: provider.Credentials},
		"a project alone":                 {config: gcs.Config{ProjectID: "a-project"}, want: provider.Credentials},
		"two keys":                        {config: gcs.Config{Key: keyJSON(nil), KeyFilename: "k.json"}, want: provider.Credentials},
		"a project that is none":          {config: gcs.Config{Key: keyJSON(nil), ProjectID: "a/b"}, want: provider.Credentials},
		"Google without TLS, no key":      {config: gcs.Config{Endpoint: "https://storage.googleapis.com"}, want: provider.Credentials},
		"a path":                          {config: gcs.Config{Endpoint: "http://127.0.0.1:4443/storage"}, want: provider.Invalid},
		"a user":                          {config: gcs.Config{Endpoint: "http://u:p@127.0.0.1"}, want: provider.Invalid},
		"a query":                         {config: gcs.Config{Endpoint: "http://127.0.0.1?x"}, want: provider.Invalid},
		"no URL":                          {config: gcs.Config{Endpoint: "127.0.0.1:4443"}, want: provider.Invalid},
		"another scheme":                  {config: gcs.Config{Endpoint: "file:///etc"}, want: provider.Invalid},
	} {
		c.config.HTTPClient = never(t)
		if _, err := gcs.New(c.config); (err == nil) != c.good || err != nil && provider.KindOf(err) != c.want {
			t.Errorf("%s: %v, want kind %v", name, err, c.want)
		}
	}
	if _, err := gcs.New(gcs.Config{Key: keyJSON(nil)}); err == nil {
		t.Error("an account without rules of where to connect to")
	}
	emulated, err := gcs.New(gcs.Config{Endpoint: "http://127.0.0.1:4443", HTTPClient: never(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := emulated.CreateBucket(t.Context(), "bucket", ""); provider.KindOf(err) != provider.Invalid {
		t.Errorf("a bucket in no project: %v", err)
	}
}

// FuzzKey: no text makes the parser panic or gets a request made, and refusals are of the
// seam.
func FuzzKey(f *testing.F) {
	// No real key: every worker would take seconds to make one.
	f.Add(`{"type":"external_account","token_uri":"https://oauth2.googleapis.com/token","credential_source":{"url":"http://169.254.169.254"}}`)
	f.Add(`{"type":"service_account","project_id":"p","token_uri":"https://evil.example","private_key":"x","universe_domain":"googleapis.com"}`)
	f.Add(`{"type":"service_account","token_uri":"https://oauth2.googleapis.com/token","client_email":"a@b.gserviceaccount.com","private_key":"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"}`)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := gcs.New(gcs.Config{Key: text, HTTPClient: never(t)}); err != nil && provider.KindOf(err) != provider.Credentials {
			t.Errorf("%v", err)
		}
	})
}
