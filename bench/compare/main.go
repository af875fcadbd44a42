// Command compare measures firescan, its peers and two ideal readers on one synthetic
// bucket, side by side in one run, and writes the figures into bench/RESULTS.md. Each
// measured program and the bucket server run as separate processes.
//
// A wrong result is an error: counts and sums are compared with those of the bucket.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	// The two ideal readers are this same program, run as a child process.
	if len(args) > 0 && args[0] == readerCommand {
		return runReader(ctx, args[1:])
	}
	c, err := parse(args)
	if err != nil {
		return err
	}
	return newBench(c).run(ctx)
}

func (b *bench) run(ctx context.Context) error {
	var err error
	if b.config.cache, err = filepath.Abs(b.config.cache); err != nil {
		return err
	}
	if b.config.firescan, err = filepath.Abs(b.config.firescan); err != nil {
		return err
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if err := b.install(ctx); err != nil {
		return err
	}
	for _, scenario := range scenarios {
		if !slices.Contains(b.config.scenarios, scenario) {
			continue
		}
		b.log.Info("scenario", "name", scenario)
		switch scenario {
		case "list":
			err = b.listScenario(ctx)
		case "big":
			err = b.bigScenario(ctx)
		case "import":
			err = b.importScenario(ctx)
		case "cluster":
			err = b.clusterScenario(ctx)
		}
		if err != nil {
			return fmt.Errorf("scenario %s: %w", scenario, err)
		}
	}
	return b.report.write(b.config.out)
}
