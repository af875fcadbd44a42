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

	// The program is built separately: this dependency invalidates cached test results when
	// its sources change.
	_ "firescan/node"
)

// long reports whether the long form runs: full sizes and many repetitions.
var long = os.Getenv("FIRESCAN_LONG") == "1"

// pick returns the value for the short or the long form.
func pick[T any](short, inLong T) T {
	if long {
		return inLong
	}
	return short
}

// few returns a number of keys: slow with the race detector, fast otherwise.
func few(slow, fast uint64) uint64 {
	if raceEnabled {
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

// built is the program, which is built once, when a test needs it.
var built struct {
	once      sync.Once
	dir, path string
	err       error
}

// program builds firescan, with the race detector if the tests have it, and returns its
// path.
func program(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a cluster of processes")
	}
	built.once.Do(func() {
		// go test tracks files that a test reads: see the import above.
		for _, file := range must(filepath.Glob("../firescan/*.go")) {
			_ = must(os.Stat(file))
		}
		// The directory outlives the first test.
		if built.dir, built.err = os.MkdirTemp("", "firescan-systemtest"); built.err != nil { //nolint:usetesting // as above
			return
		}
		built.path = filepath.Join(built.dir, "firescan")
		args := []string{"build", "-o", built.path}
		if raceEnabled {
			args = append(args, "-race")
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		var stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, "go", append(args, "firescan/cmd/firescan")...)
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			built.err = fmt.Errorf("build firescan: %w\n%s", err, &stderr)
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
