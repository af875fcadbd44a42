package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	org       = "org_bench"
	rootToken = "fsk_bench0000000000000000000000000000000000000000"
)

// node is a firescan process and its data directory.
type node struct {
	id     string
	daemon *daemon
	runs   int
	dir    string
	url    string
	gossip string
	serve  []string // command line
	// owner reads and syncs; service writes the catalog.
	owner, service *api
}

// newNode returns a node that is not started. The addresses are HTTP, cluster and gossip.
func (b *bench) newNode(id, dir string, addresses []string, flags ...string) *node {
	args := []string{
		b.config.firescan, "serve", "--node-id", id, "--data-dir", filepath.Join(dir, "data"), "--http-addr", addresses[0],
		"--cluster-addr", addresses[1], "--gossip-addr", addresses[2], "--allow-endpoint", "127.0.0.1:*", "--log-format", "json",
	}
	args = append(append(args, flags...), strings.Fields(b.config.serve)...)
	return &node{id: id, dir: dir, url: "http://" + addresses[0], gossip: addresses[2], serve: args}
}

// startNode starts firescan serve on a new data directory, waits until the node is ready
// and creates the tokens.
func (b *bench) startNode(ctx context.Context) (_ *node, err error) {
	dir, err := os.MkdirTemp(b.config.cache, "node-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	n := b.newNode("bench", dir, ports)
	if err := n.start(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.stop()
		}
	}()
	if err := n.waitReady(ctx); err != nil {
		return nil, err
	}
	return n, b.createTokens(ctx, n)
}

// createTokens creates the API tokens for the nodes of one cluster.
func (b *bench) createTokens(ctx context.Context, nodes ...*node) error {
	tokens := map[string]string{}
	for _, role := range []string{"owner", "service"} {
		token, err := b.createToken(ctx, nodes[0].url, role)
		if err != nil {
			return err
		}
		tokens[role] = token
	}
	for _, n := range nodes {
		n.owner = &api{base: n.url, token: tokens["owner"], org: org}
		n.service = &api{base: n.url, token: tokens["service"], org: org}
	}
	return nil
}

func (b *bench) createToken(ctx context.Context, url, role string) (string, error) {
	c := exec.CommandContext(ctx, b.config.firescan, "token", "create", "--org", org, "--role", role, "--name", "bench")
	c.Env = append(os.Environ(), "FIRESCAN_ADDR="+url, "FIRESCAN_TOKEN="+rootToken)
	out, err := c.Output()
	if err != nil {
		output := ""
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			output = lastOutput(string(exit.Stderr))
		}
		return "", fmt.Errorf("firescan token create --role %s: %w: %s", role, err, output)
	}
	return strings.TrimSpace(string(out)), nil
}

func freePorts(n int) ([]string, error) {
	var addresses []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = ln.Close() }()
		addresses = append(addresses, ln.Addr().String())
	}
	return addresses, nil
}

// start starts the node's process, again if it has exited.
func (n *node) start() (err error) {
	n.runs++
	n.daemon, err = startDaemon(n.serve, []string{"FIRESCAN_ROOT_TOKEN=" + rootToken}, filepath.Join(n.dir, fmt.Sprintf("log-%d", n.runs)))
	return err
}

func (n *node) waitReady(ctx context.Context) error {
	return n.waitFor(ctx, "ready", func(ctx context.Context) (bool, error) {
		err := getJSON(ctx, n.url+"/readyz", nil, nil)
		return err == nil, err
	})
}

// waitFor polls a condition of the node for up to 30 seconds.
func (n *node) waitFor(ctx context.Context, what string, is func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		yes, err := is(ctx)
		if yes {
			return nil
		}
		if died := n.daemon.failed(); died != nil {
			return died
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for firescan node %s: not %s: %w", n.id, what, errors.Join(err, context.Cause(ctx)))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop stops the node and removes its data.
func (n *node) stop() {
	n.daemon.stop()
	_ = os.RemoveAll(n.dir)
}

func (n *node) meter() (*meter, error) {
	m := &meter{pid: n.daemon.pid()}
	var err error
	if m.user, m.sys, err = processCPU(m.pid); err != nil {
		return nil, err
	}
	return m, resetPeakRSS(m.pid)
}

// createDestination creates the destination that the bucket's records name.
func (n *node) createDestination(ctx context.Context, endpoint string) (id string, err error) {
	var response struct{ ID string }
	err = n.owner.call(ctx, http.MethodPost, "/api/v1/storage/destinations", map[string]any{
		"name": "Bench", "type": "S3", "bucket": bucketName, "region": "us-east-1", "endpoint": endpoint,
		"credentials": map[string]string{"accessKeyId": accessKey, "secretAccessKey": secretKey},
	}, &response)
	return response.ID, err
}
