package node

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"firescan/catalog"
)

func TestConfigTellsAllThatIsWrong(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	c.DataDir, c.HTTPAddr, c.TLSCert = "", "8080", "cert.pem"
	c.ScanStreams, c.SyncEvery, c.FreshFor, c.OrphanMinAge, c.Guards.JumpPoints = 0, -1, -1, -1, math.NaN()
	c.AllowEndpoints, c.RootToken, c.EgressProxy = []string{"10.0.0.0/99"}, catalog.NewSecret("short-and-secret"), "socks5://u:secret@proxy"
	c.AllowOrigins = []string{"https://console.example.com/"}
	err := c.Validate()
	if err == nil {
		t.Fatal("a configuration in which everything is wrong was taken")
	}
	for _, flag := range []string{"--data-dir", "--http-addr", "--http-tls-key", "--scan-streams", "--sync-every", "--orphan-min-age", "--guard-jump", "--fresh-for", "--allow-endpoint", "--egress-proxy", "--allow-origin", "FIRESCAN_ROOT_TOKEN"} {
		if !strings.Contains(err.Error(), flag) {
			t.Errorf("the error does not name %s: %v", flag, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error contains a secret: %v", err)
	}
}

func TestNewLogger(t *testing.T) {
	var out bytes.Buffer
	l, err := NewLogger(&out, "json", "warn")
	if err != nil {
		t.Fatal(err)
	}
	l.Info("unseen")
	l.Warn("seen")
	if s := out.String(); !strings.HasPrefix(s, "{") || strings.Contains(s, "unseen") || !strings.Contains(s, `"msg":"seen"`) {
		t.Errorf("logged %q", s)
	}
	for _, wrong := range [][2]string{{"xml", "info"}, {"json", "loud"}} {
		if _, err := NewLogger(&out, wrong[0], wrong[1]); err == nil || !strings.Contains(err.Error(), "--log-") {
			t.Errorf("format %s, level %s: %v", wrong[0], wrong[1], err)
		}
	}
}

func TestRootTokensThatCanBeSent(t *testing.T) {
	for token, want := range map[string]bool{
		strings.Repeat("r", 32): true, catalog.NewToken(): true, strings.Repeat("aB3-._~+/", 4) + "==": true,
		strings.Repeat("r", 31): false, strings.Repeat("r", 40) + "\n": false, strings.Repeat("r ", 20): false, strings.Repeat("ü", 40): false,
	} {
		c := DefaultConfig()
		c.RootToken = catalog.NewSecret(token)
		if err := c.Validate(); (err == nil) != want {
			t.Errorf("%q: %v", token, err)
		}
	}
}
