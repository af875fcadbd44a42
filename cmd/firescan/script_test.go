package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"firescan/bench/bucketserver"
	"firescan/provider/providertest/ports"
)

// checked detects leaked goroutines.
type checked struct{ *testing.M }

func (m checked) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(checked{m}, map[string]func(){"firescan": main})
}

// scriptFiles is the number of files in the bucket of a script.
const scriptFiles = 3000

func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	keys, err := bucketserver.NewKeys(bucketserver.Tree, scriptFiles)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			bucket := bucketserver.New(bucketserver.Options{Keys: keys, Bucket: "backups", AccessKey: "AKIAIOSFODNN7EXAMPLE"})
			endpoint, err := bucket.Start("127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Defer(func() { _ = bucket.Close() })
			addr, err := ports.Free()
			if err != nil {
				return err
			}
			e.Vars = append(e.Vars,
				"GORACE=atexit_sleep_ms=10", // the default delays the end of each process by a second
				"BUCKET="+endpoint, "HTTP="+addr, "FIRESCAN_ADDR=http://"+addr, "FIRESCAN_HTTP_ADDR="+addr,
				"FIRESCAN_CLUSTER_ADDR=127.0.0.1:0", "FIRESCAN_GOSSIP_ADDR=127.0.0.1:0",
				"FIRESCAN_ALLOW_ENDPOINT=127.0.0.1:*", "FIRESCAN_ORG=acme", "FIRESCAN_LOG_LEVEL=warn",
				"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG",
			)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ready":   cmdReady,
			"setenv":  cmdSetenv,
			"grepenv": cmdGrepenv,
			"expand":  cmdExpand,
			"respell": cmdRespell,
			"lose":    cmdLose,
			"records": func(ts *testscript.TestScript, _ bool, args []string) { cmdRecords(ts, keys, args) },
		},
	})
}

// cmdReady waits until the node is ready.
func cmdReady(ts *testscript.TestScript, _ bool, _ []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, ts.Getenv("FIRESCAN_ADDR")+"/readyz", nil)
		ts.Check(err)
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("the node is not ready: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// cmdSetenv sets a variable to the output of the last command: setenv NAME.
func cmdSetenv(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// cmdGrepenv sets a variable to the match of a group: grepenv NAME PATTERN FILE.
func cmdGrepenv(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile(args[2]))
	if found == nil {
		ts.Fatalf("%s does not match %s", args[2], args[1])
	}
	ts.Setenv(args[0], found[1])
}

// cmdExpand expands variables ($NAME) in a file: expand FILE.
func cmdExpand(ts *testscript.TestScript, _ bool, args []string) {
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// cmdRespell writes records with another spelling of each location, in turn: respell FROM TO.
func cmdRespell(ts *testscript.TestScript, _ bool, args []string) {
	var out bytes.Buffer
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var record map[string]any
		ts.Check(json.Unmarshal([]byte(line), &record))
		if key, ok := record["storagePath"].(string); ok {
			escaped := (&url.URL{Path: "/" + key}).EscapedPath()
			all := []string{
				"/" + key, "//" + key, "./" + key, " " + key + "\n", `"` + key + `"`, "backups/" + key, "backups:/" + key,
				"s3://backups/" + key, "S3A://backups/" + key + "?versionId=1", "arn:aws:s3:::backups/" + key, "remote:backups/" + key,
				"https://backups.s3.eu-west-1.amazonaws.com" + escaped + "?X-Amz-Signature=x", "https://s3.amazonaws.com/backups" + escaped,
				ts.Getenv("BUCKET") + "/backups" + escaped, "s3:" + ts.Getenv("BUCKET") + "/backups/" + key,
				"https://console.aws.amazon.com/s3/object/backups?region=x&prefix=" + url.QueryEscape(key),
				"//storage.googleapis.com/projects/_/buckets/backups/objects/" + key,
			}
			record["storagePath"] = all[n%len(all)]
			n++
		}
		ts.Check(json.NewEncoder(&out).Encode(record))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), out.Bytes(), 0o600))
}

// cmdLose names an unknown destination in 40 % of the backups of a feed: lose FILE NEW.
func cmdLose(ts *testscript.TestScript, _ bool, args []string) {
	unknown := regexp.MustCompile(`"storageId":"[^"]*"`)
	var out strings.Builder
	backups := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if strings.Contains(line, `"kind":"backup"`) {
			if backups++; backups%5 < 2 {
				line = unknown.ReplaceAllString(line, `"storageId":"storage_unknown"`)
			}
		}
		out.WriteString(line)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(out.String()), 0o600))
}

// cmdRecords writes the records of the bucket: records STORAGE-ID FILE.
func cmdRecords(ts *testscript.TestScript, keys *bucketserver.Keys, args []string) {
	f, err := os.Create(filepath.Join(ts.Getenv("WORK"), args[1]))
	ts.Check(err)
	ts.Check(keys.WriteRecords(f, bucketserver.Catalog{Orphans: 0.1, Missing: 0.1, StorageID: args[0]}))
	ts.Check(f.Close())
}
