package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"firescan/bench/bucketserver"
)

// peer is a program that lists a bucket.
type peer struct {
	who string
	// pkg at version of module is what is built; none for the readers of our own.
	module, version, pkg string
	// command lists the bucket at an endpoint; bin is the program, dir a place for its
	// configuration.
	command func(bin, dir, endpoint string) (cmd, env []string)
}

const (
	accessKey = "AKIABENCHBENCHBENCH0"
	secretKey = "bench-bench-bench-bench-bench-bench-bench"
)

var awsEnv = []string{"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_REGION=us-east-1"}

var peers = []peer{
	{
		who: "rclone", module: "github.com/rclone/rclone", version: "v1.76.0", pkg: "github.com/rclone/rclone",
		command: func(bin, _, endpoint string) ([]string, []string) {
			return []string{
				bin, "lsf", "-R", "--fast-list", "--files-only", "--format", "ps", "--s3-provider", "Other", "--s3-env-auth",
				"--s3-endpoint", endpoint, ":s3:" + bucketName,
			}, append([]string{"RCLONE_CONFIG=/dev/null"}, awsEnv...)
		},
	},
	{
		who: "mc", module: "github.com/minio/mc", version: "v0.0.0-20250313080218-cf909e1063a9", pkg: "github.com/minio/mc",
		command: func(bin, dir, endpoint string) ([]string, []string) {
			return []string{bin, "--config-dir", dir, "ls", "-r", "--json", "bench/" + bucketName},
				[]string{"MC_HOST_bench=" + strings.Replace(endpoint, "http://", "http://"+accessKey+":"+secretKey+"@", 1)}
		},
	},
	{
		who: "s5cmd", module: "github.com/peak/s5cmd/v2", version: "v2.3.0", pkg: "github.com/peak/s5cmd/v2",
		command: func(bin, _, endpoint string) ([]string, []string) {
			return []string{bin, "--endpoint-url", endpoint, "ls", "s3://" + bucketName + "/*"}, awsEnv
		},
	},
}

// whos are all that can be measured, firescan first.
func whos() []string {
	all := []string{"firescan"}
	for _, p := range peers {
		all = append(all, p.who)
	}
	return append(all, "sdk", "bytes")
}

func (b *bench) binary(p peer) string { return filepath.Join(b.cache, "bin", p.who+"-"+p.version) }

// install builds the bucket server, and each peer that is wanted and not yet there.
func (b *bench) install(ctx context.Context) error {
	bin := filepath.Join(b.cache, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	b.server = filepath.Join(bin, "bucketserver")
	if err := goTool(ctx, ".", nil, "build", "-o", b.server, "firescan/bench/cmd/bucketserver"); err != nil {
		return err
	}
	for _, p := range peers {
		if _, err := os.Stat(b.binary(p)); err == nil || !b.wants(p.who) {
			continue
		}
		b.log.Info("building a peer, which takes minutes the first time", "peer", p.who, "version", p.version)
		if err := b.build(ctx, p); err != nil {
			return fmt.Errorf("build %s %s: %w (leave it out with -only)", p.who, p.version, err)
		}
	}
	return nil
}

// build builds a peer from a module of its own that requires the one version: a plain
// go install pkg@version also looks for the latest one, which not every proxy has.
func (b *bench) build(ctx context.Context, p peer) error {
	dir, err := os.MkdirTemp(b.cache, "build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	mod := fmt.Sprintf("module throwaway\n\ngo 1.26.0\n\nrequire %s %s\n", p.module, p.version)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644); err != nil {
		return err
	}
	if err := goTool(ctx, dir, []string{"GOFLAGS=-mod=mod"}, "build", "-trimpath", "-o", filepath.Join(dir, "program"), p.pkg); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, "program"), b.binary(p))
}

func goTool(ctx context.Context, dir string, env []string, args ...string) error {
	c := exec.CommandContext(ctx, "go", args...)
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, tail(string(out)))
	}
	return nil
}

// row is one line of a table of scans.
type row struct {
	who      string
	usage    usage
	keys     uint64
	requests uint64
	server   time.Duration // CPU of the bucket's server meanwhile
	command  string
}

// listScene lets everybody list the same bucket, one after the other.
func (b *bench) listScene(ctx context.Context) error {
	for _, layout := range b.layouts {
		for _, latency := range b.latency {
			rows, notes, err := b.listAll(ctx, bucketserver.Layout(layout), latency)
			if err != nil {
				return fmt.Errorf("layout %s, %v a page: %w", layout, latency, err)
			}
			name := fmt.Sprintf("list %s %v", layout, latency)
			title := fmt.Sprintf("%s keys, %s layout, %v a page", thousands(b.keys), layout, latency)
			b.report.add(name, title, scanTable(rows), notes...)
			if err := b.report.write(b.out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) listAll(ctx context.Context, layout bucketserver.Layout, latency time.Duration) (rows []row, notes []string, err error) {
	bk, err := b.newBucket(ctx, layout, b.keys, latency)
	if err != nil {
		return nil, nil, err
	}
	defer bk.server.daemon.stop()
	if b.wants("firescan") {
		rows, notes, err = b.scanTwice(ctx, bk)
		if err != nil {
			return nil, nil, fmt.Errorf("firescan: %w", err)
		}
	}
	dir := filepath.Join(b.cache, "peer-config")
	for _, p := range peers {
		if !b.wants(p.who) {
			continue
		}
		cmd, env := p.command(b.binary(p), dir, bk.server.endpoint)
		r, err := b.list(ctx, bk, cmd, env)
		if err != nil {
			return nil, nil, err
		}
		r.who = p.who + " " + p.version
		rows = append(rows, r)
	}
	for _, how := range []string{"sdk", "bytes"} {
		if !b.wants(how) {
			continue
		}
		streams := 1
		if latency > 0 {
			streams = b.streams
		}
		r, err := b.list(ctx, bk, []string{
			b.self, readerCommand, "-how", how, "-endpoint", bk.server.endpoint, "-layout", string(layout),
			"-keys", strconv.FormatUint(b.keys, 10), "-streams", strconv.Itoa(streams),
		}, awsEnv)
		if err != nil {
			return nil, nil, err
		}
		r.who = map[string]string{"sdk": "aws-sdk-go-v2 ListObjectsV2", "bytes": "bytes read, nothing kept"}[how]
		if streams > 1 {
			r.who += fmt.Sprintf(", %d ranges known beforehand", streams)
		} else {
			r.who += ", one stream"
		}
		rows = append(rows, r)
	}
	return rows, notes, nil
}

// list runs one program that prints a line a key, and checks that it printed all.
func (b *bench) list(ctx context.Context, bk *bucket, cmd, env []string) (row, error) {
	b.log.Info("listing", "with", filepath.Base(cmd[0]))
	before, err := bk.server.tally(ctx)
	if err != nil {
		return row{}, err
	}
	var out lines
	u, err := measure(ctx, cmd, env, &out)
	if err != nil {
		return row{}, err
	}
	after, err := bk.server.tally(ctx)
	if err != nil {
		return row{}, err
	}
	if out.n != bk.want.Digest.Files {
		return row{}, fmt.Errorf("%s printed %d lines, the bucket has %d keys", cmd[0], out.n, bk.want.Digest.Files)
	}
	t := after.since(before)
	words := append([]string{filepath.Base(cmd[0])}, cmd[1:]...)
	command := strings.ReplaceAll(strings.Join(words, " "), b.cache, "bench/.cache")
	return row{usage: u, keys: out.n, requests: t.requests, server: t.cpu, command: command}, nil
}
