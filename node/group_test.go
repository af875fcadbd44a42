package node

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"firescan/catalog"
	"firescan/cluster"
	"firescan/provider/providertest/ports"
)

// TestThreeNodesServe starts three nodes at once, and reads from each what was written
// through another.
func TestThreeNodesServe(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := writeFile(secret, []byte(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", secretBytes))))); err != nil {
		t.Fatal(err)
	}
	root := catalog.NewToken()
	// The first is where the others find it, so its port must be known.
	gossip := ports.Address(t)
	nodes := make([]*running, 3)
	var all sync.WaitGroup
	for i := range nodes {
		c := testConfig(t)
		c.NodeID, c.BootstrapExpect, c.SecretFile, c.RootToken = fmt.Sprint("n", i+1), len(nodes), secret, catalog.NewSecret(root)
		c.Join = []string{gossip}
		if i == 0 {
			c.GossipAddr = gossip
		}
		all.Go(func() { nodes[i] = run(t, c) })
	}
	all.Wait()
	if t.Failed() {
		return
	}
	owner := nodes[0].token(t, root, "owner")
	for i, n := range nodes {
		name := fmt.Sprint("d", i)
		status, body := n.call(t, "POST", "/api/v1/storage/destinations", owner, "acme",
			`{"name":"`+name+`","type":"S3","bucket":"bucket-`+name+`","region":"us-east-1","credentials":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"x"}}`)
		if status/100 != 2 {
			t.Fatalf("create through n%d: %d %s", i+1, status, body)
		}
		next := nodes[(i+1)%len(nodes)]
		if status, body := next.call(t, "GET", "/api/v1/storage/destinations", owner, "acme", ""); status != http.StatusOK || !strings.Contains(body, `"`+name+`"`) {
			t.Errorf("another node than n%d has no such destination: %d %s", i+1, status, body)
		}
		status, body = n.call(t, "GET", "/api/v1/admin/cluster", root, "", "")
		if status != http.StatusOK || strings.Count(body, `"state":"alive"`) != len(nodes) || strings.Count(body, `"leader":true`) != 1 {
			t.Errorf("the cluster as n%d sees it: %d %s", i+1, status, body)
		}
	}
}

func TestMembershipFlags(t *testing.T) {
	for name, change := range map[string]struct {
		with func(*Config)
		want string
	}{
		"half an address":                {func(c *Config) { c.ClusterAddr = "here" }, "--cluster-addr"},
		"one of two":                     {func(c *Config) { c.GossipAddr = "" }, "must be given together"},
		"a name to join":                 {func(c *Config) { c.Join = []string{"n1"} }, "--join"},
		"nobody expected":                {func(c *Config) { c.BootstrapExpect = 0 }, "--bootstrap-expect"},
		"alone with others":              {func(c *Config) { c.ClusterAddr, c.GossipAddr, c.BootstrapExpect = "", "", 3 }, "--cluster-addr"},
		"half certificates":              {func(c *Config) { c.ClusterCert = "a.pem" }, "--cluster-ca"},
		"names without own certificates": {func(c *Config) { c.ClusterAllowNames = []string{"*.example.com"} }, "--cluster-cert"},
		"every name": {func(c *Config) {
			c.ClusterCert, c.ClusterKey, c.ClusterCA, c.ClusterAllowNames = "a", "b", "c", []string{"*"}
		}, "--cluster-allow-name"},
	} {
		c := testConfig(t)
		change.with(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := testConfig(t)
	c.Join = []string{"127.0.0.1:1"}
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "--cluster-secret-file") {
		t.Errorf("to join without a secret: %v", err)
	}
}

// A node that was removed from the cluster stops with an error.
func TestRemovedNodeStops(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := writeFile(secret, []byte(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", secretBytes))))); err != nil {
		t.Fatal(err)
	}
	first := testConfig(t)
	first.SecretFile, first.GossipAddr = secret, ports.Address(t)
	one := run(t, first)
	second := testConfig(t)
	second.NodeID, second.SecretFile, second.Join = "n2", secret, []string{first.GossipAddr}
	two := run(t, second)
	if err := one.cluster.Remove(t.Context(), "n2"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-two.done:
		two.done <- nil
		if err == nil || !strings.Contains(err.Error(), "was removed from its cluster") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it did not stop")
	}
	if members, err := one.cluster.Members(t.Context()); err != nil || len(members) != 1 || members[0].State != cluster.StateAlive {
		t.Errorf("members %+v, %v", members, err)
	}
}
