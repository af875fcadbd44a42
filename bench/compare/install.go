package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// install builds the bucket server and the wanted peers that are not in the cache.
func (b *bench) install(ctx context.Context) error {
	bin := filepath.Join(b.config.cache, "bin")
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
		b.log.Info("building a peer, which takes minutes", "peer", p.who, "version", p.version)
		if err := b.build(ctx, p); err != nil {
			return fmt.Errorf("build %s %s: %w (exclude it with -only)", p.who, p.version, err)
		}
	}
	return nil
}

func (b *bench) binary(p peer) string {
	return filepath.Join(b.config.cache, "bin", p.who+"-"+p.version)
}

// build builds a peer in a temporary module that requires the pinned version. go install
// pkg@version also looks up the latest version, which not every proxy has.
func (b *bench) build(ctx context.Context, p peer) error {
	dir, err := os.MkdirTemp(b.config.cache, "build-")
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
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, lastOutput(string(out)))
	}
	return nil
}
