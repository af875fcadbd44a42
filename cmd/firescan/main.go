// Command firescan runs a node of a firescan cluster, and talks to one.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(mainCode()) }

// mainCode is main with an exit code, so that deferred calls run.
func mainCode() int {
	// The first signal asks to stop; a second one ends the process as usual.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	a := &app{program: os.Args[0], in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.LookupEnv}
	return a.run(ctx, os.Args[1:])
}
