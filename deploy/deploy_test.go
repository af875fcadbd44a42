// Package deploy_test checks the files of this directory: the rules with promtool, and
// every expression of the rules and the dashboard on a Prometheus that scrapes a real
// node.
package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"firescan/bench/bucketserver"
	"firescan/catalog"
	"firescan/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRules checks that the rules are valid and that alerts fire only when they should.
func TestRules(t *testing.T) {
	for _, args := range [][]string{
		{"check", "rules", "rules.yaml"},
		{"check", "config", "--syntax-only", "prometheus.yaml"},
		{"test", "rules", "rules_test.yaml"},
	} {
		c := exec.Command(tool(t, "promtool"), args...)
		c.Dir = "prometheus"
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestEveryAlertIsTested fails for an alert without a test: it might never fire.
func TestEveryAlertIsTested(t *testing.T) {
	tests, err := os.ReadFile("prometheus/rules_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules(t) {
		if !strings.Contains(string(tests), r.Alert) {
			t.Errorf("alert %s has no test in rules_test.yaml", r.Alert)
		}
	}
}

// TestComposeIsPrivate: the ports of the compose file are open on its machine only, Grafana
// asks for a password, and Prometheus scrapes a port that is not published.
func TestComposeIsPrivate(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Environment map[string]string
			Ports       []string
		}
	}
	read(t, "compose/compose.yaml", &file)
	for name, service := range file.Services {
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") || strings.HasSuffix(port, ":9100") {
				t.Errorf("service %s publishes the port %s", name, port)
			}
		}
	}
	grafana := file.Services["grafana"].Environment
	if _, anonymous := grafana["GF_AUTH_ANONYMOUS_ENABLED"]; anonymous || grafana["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "" {
		t.Errorf("Grafana has %v", grafana)
	}
	var prometheus struct {
		Jobs []struct {
			Static []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	read(t, "prometheus/prometheus.yaml", &prometheus)
	for _, target := range prometheus.Jobs[0].Static[0].Targets {
		node, port, _ := strings.Cut(target, ":")
		if !strings.HasSuffix(file.Services[node].Environment["FIRESCAN_METRICS_ADDR"], ":"+port) {
			t.Errorf("Prometheus scrapes %s, where no metrics are", target)
		}
	}
}

// TestComposeVariablesAreFlags checks that every FIRESCAN_ variable of the compose file
// is a flag of serve.
func TestComposeVariablesAreFlags(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Environment map[string]string
			Volumes     []string
		}
	}
	read(t, "compose/compose.yaml", &file)
	serve, err := os.ReadFile("../cmd/firescan/serve.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, service := range file.Services {
		for key := range service.Environment {
			flag, ours := strings.CutPrefix(key, "FIRESCAN_")
			flag = strings.ReplaceAll(strings.ToLower(flag), "_", "-")
			if ours && !strings.Contains(string(serve), `"`+flag+`"`) {
				t.Errorf("service %s: %s does not match a flag of firescan serve", name, key)
			}
		}
		for _, v := range service.Volumes {
			if from, _, _ := strings.Cut(v, ":"); strings.HasPrefix(from, ".") {
				if _, err := os.Stat(filepath.Join("compose", from)); err != nil {
					t.Errorf("service %s mounts a missing file: %v", name, err)
				}
			}
		}
	}
}

type rule struct{ Alert, Expr string }

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	read(t, "prometheus/rules.yaml", &file)
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// expressions returns the expressions of the rules and of the dashboard, with the
// dashboard's variables set to all.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, r := range rules(t) {
		all["alert "+r.Alert] = r.Expr
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, RefID string }
		}
	}
	data, err := os.ReadFile("grafana/firescan.json")
	if err == nil {
		err = json.Unmarshal(data, &board)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for i, target := range p.Targets {
			all[fmt.Sprintf("panel %s %d", p.Title, i)] = strings.NewReplacer("$organization", ".*", "$destination", ".*").Replace(target.Expr)
		}
	}
	return all
}

// TestExpressionsAgainstALiveNode runs a real Prometheus that scrapes a node after a
// sync. Every expression must be valid and use only metrics that the node exports.
func TestExpressionsAgainstALiveNode(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Prometheus")
	}
	target := serve(t)
	base := scrape(t, target)
	metrics := get(t, "http://"+target+"/metrics")
	if strings.Contains(metrics, "UNAUTHORIZED") {
		t.Fatal(metrics)
	}
	name := regexp.MustCompile(`\bfirescan_[a-z_]+`)
	for what, expr := range expressions(t) {
		for _, metric := range name.FindAllString(expr, -1) {
			if !strings.Contains(metrics, "\n"+metric+"{") && !strings.Contains(metrics, "\n"+metric+" ") {
				t.Errorf("%s: the node does not export metric %s", what, metric)
			}
		}
		var response struct {
			Status, Error string
			Data          struct{ Result []any }
		}
		body := get(t, base+"/api/v1/query?query="+url.QueryEscape(expr))
		if err := json.Unmarshal([]byte(body), &response); err != nil || response.Status != "success" {
			t.Errorf("%s: %s %v", what, response.Error, err)
		}
		// A stat panel must show a value on a healthy cluster.
		if strings.HasPrefix(what, "panel") && !strings.Contains(expr, "rate(") && !strings.Contains(expr, "increase(") && len(response.Data.Result) == 0 {
			t.Errorf("%s has an empty result: %s", what, expr)
		}
	}
}

// serve runs a node, syncs one destination and returns the node's address.
func serve(t *testing.T) string {
	t.Helper()
	keys, err := bucketserver.NewKeys(bucketserver.Tree, 2000)
	if err != nil {
		t.Fatal(err)
	}
	bucket := bucketserver.New(bucketserver.Options{Keys: keys})
	endpoint, err := bucket.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := node.DefaultConfig()
	c.NodeID, c.DataDir, c.HTTPAddr = "n1", t.TempDir(), "127.0.0.1:0"
	c.ClusterAddr, c.GossipAddr, c.MetricsAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.AllowEndpoints = []string{"127.0.0.1:*"}
	c.Logger = slog.New(slog.DiscardHandler)
	c.RootToken = catalog.NewSecret(strings.Repeat("r", 40))
	n, err := node.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("run node: %v", err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		_ = bucket.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	await(t, "node is ready", func() bool { return n.Ready() == nil })
	var token, made struct{ Token, ID string }
	post(t, n.URL()+"/api/v1/admin/tokens", strings.Repeat("r", 40), `{"organizationId":"acme","role":"owner"}`, &token)
	post(t, n.URL()+"/api/v1/storage/destinations", token.Token, `{"name":"n","type":"S3","bucket":"`+bucket.Bucket()+`","region":"us-east-1","endpoint":"`+endpoint+`","credentials":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"wJalrXUtnFEMI"}}`, &made)
	post(t, n.URL()+"/api/v1/storage/sync", token.Token, "", nil)
	await(t, "sync is completed", func() bool {
		return strings.Contains(get(t, n.MetricsURL()), `firescan_syncs_total{status="completed"} 1`)
	})
	if public := get(t, n.URL()+"/metrics"); !strings.Contains(public, "UNAUTHORIZED") {
		t.Errorf("metrics on the public port: %.200s", public)
	}
	return strings.TrimSuffix(strings.TrimPrefix(n.MetricsURL(), "http://"), "/metrics")
}

// scrape runs a Prometheus that scrapes target. It returns its URL after the first
// scrape.
func scrape(t *testing.T, target string) string {
	t.Helper()
	dir := t.TempDir()
	config := "global: { scrape_interval: 200ms }\nscrape_configs: [{ job_name: firescan, static_configs: [{ targets: [\"" + target + "\"] }] }]\n"
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close()
	var log bytes.Buffer
	server := exec.Command(tool(t, "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr, "--log.level=warn")
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("Prometheus log: %s", log.String())
		}
	})
	base := "http://" + addr
	await(t, "Prometheus has scraped the node", func() bool {
		resp, err := http.Get(base + "/api/v1/query?query=" + url.QueryEscape("firescan_destination_files > 0 and on () process_resident_memory_bytes"))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return strings.Contains(string(body), "acme")
	})
	return base
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout waiting: %s", what)
		}
	}
}

func get(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get(address) //nolint:noctx // test
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// post calls the API and decodes the data of the response.
func post(t *testing.T, address, token, body string, data any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("X-Organization-Id", "acme")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !slices.Contains([]int{200, 201}, resp.StatusCode) {
		t.Fatalf("POST %s: %d %s %v", address, resp.StatusCode, text, err)
	}
	if data == nil {
		return
	}
	if err := json.Unmarshal(text, &struct{ Data any }{data}); err != nil {
		t.Fatal(err)
	}
}
