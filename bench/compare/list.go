package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"firescan/bench/bucketserver"
)

// listScenario lists the same bucket with all programs, one after the other.
func (b *bench) listScenario(ctx context.Context) error {
	for _, layout := range b.config.layouts {
		for _, latency := range b.config.latency {
			rows, notes, err := b.listAll(ctx, bucketserver.Layout(layout), latency)
			if err != nil {
				return fmt.Errorf("layout %s, %v per page: %w", layout, latency, err)
			}
			name := fmt.Sprintf("list %s %v", layout, latency)
			title := fmt.Sprintf("%s keys, %s layout, %v per page", thousands(b.config.keys), layout, latency)
			b.report.add(name, title, scanTable(rows), notes...)
			if err := b.report.write(b.config.out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) listAll(ctx context.Context, layout bucketserver.Layout, latency time.Duration) (rows []row, notes []string, err error) {
	bk, err := b.newBucket(ctx, layout, b.config.keys, latency)
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
	dir := filepath.Join(b.config.cache, "peer-config")
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
			streams = b.config.streams
		}
		r, err := b.list(ctx, bk, []string{
			b.self, readerCommand, "-how", how, "-endpoint", bk.server.endpoint, "-layout", string(layout),
			"-keys", strconv.FormatUint(b.config.keys, 10), "-streams", strconv.Itoa(streams),
		}, awsEnv)
		if err != nil {
			return nil, nil, err
		}
		r.who = map[string]string{"sdk": "aws-sdk-go-v2 ListObjectsV2", "bytes": "read bytes, discard"}[how]
		if streams > 1 {
			r.who += fmt.Sprintf(", %d known ranges", streams)
		} else {
			r.who += ", one stream"
		}
		rows = append(rows, r)
	}
	return rows, notes, nil
}

// list measures a program that prints one line per key, and checks the number of lines.
func (b *bench) list(ctx context.Context, bk *bucket, cmd, env []string) (row, error) {
	b.log.Info("listing", "with", filepath.Base(cmd[0]))
	before, err := bk.server.counters(ctx)
	if err != nil {
		return row{}, err
	}
	var out lineCounter
	u, err := measure(ctx, cmd, env, &out)
	if err != nil {
		return row{}, err
	}
	after, err := bk.server.counters(ctx)
	if err != nil {
		return row{}, err
	}
	if out.n != bk.want.Digest.Files {
		return row{}, fmt.Errorf("wrong result: %s: %d lines printed, the bucket has %d keys", cmd[0], out.n, bk.want.Digest.Files)
	}
	t := after.since(before)
	words := append([]string{filepath.Base(cmd[0])}, cmd[1:]...)
	command := strings.ReplaceAll(strings.Join(words, " "), b.config.cache, "bench/.cache")
	return row{usage: u, keys: out.n, requests: t.requests, server: t.cpu, command: command}, nil
}
