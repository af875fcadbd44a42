package systemtest

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	// The program is built apart; that this test depends on what it is made of keeps its
	// results from being taken from a cache when that has changed.
	_ "firescan/node"
)

// long is whether the long form runs: the numbers of the design, and many repetitions.
var long = os.Getenv("FIRESCAN_LONG") == "1"

// pick chooses by the form that runs.
func pick[T any](short, inLong T) T {
	if long {
		return inLong
	}
	return short
}

// few is a number of keys that a cluster with the race detector gets through in some
// seconds, else more.
func few(slow, fast uint64) uint64 {
	if raced {
		return slow
	}
	return fast
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// built is the program, which is built once and only when a test needs it.
var built struct {
	once      sync.Once
	dir, path string
	err       error
}

// program builds firescan, with the race detector where this test has it.
func program(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a cluster of processes")
	}
	built.once.Do(func() {
		// As above: files that were looked at count, too.
		for _, file := range must(filepath.Glob("../firescan/*.go")) {
			_ = must(os.Stat(file))
		}
		// It outlives the test that comes first.
		if built.dir, built.err = os.MkdirTemp("", "firescan-systemtest"); built.err != nil { //nolint:usetesting // as above
			return
		}
		built.path = filepath.Join(built.dir, "firescan")
		args := []string{"build", "-o", built.path}
		if raced {
			args = append(args, "-race")
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		var said bytes.Buffer
		cmd := exec.CommandContext(ctx, "go", append(args, "firescan/cmd/firescan")...)
		cmd.Stderr = &said
		if err := cmd.Run(); err != nil {
			built.err = fmt.Errorf("build firescan: %w\n%s", err, &said)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
