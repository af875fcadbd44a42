// Command firescan runs a node of a firescan cluster, and is the client of its API.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(mainCode()) }

// mainCode returns the exit code, so that deferred calls run before main exits.
func mainCode() int {
	// The first signal requests a graceful stop; a second one ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	a := &app{program: os.Args[0], in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.LookupEnv, environ: os.Environ}
	return run(ctx, a, os.Args[1:])
}
