// Package process runs real storage servers, each as a separate process, for tests.
package process

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"firescan/provider/providertest/ports"
)

const startTimeout = 2 * time.Minute

// Server is a program that serves HTTP on one port.
type Server struct {
	// Package is the program's Go package, without a version.
	Package string
	Version string
	// Source is the program, if it is not that of Package, of which it may import parts.
	Source string
	// Replace are the replacements of modules (old=new@version) that the module of Package
	// declares, and which count only in the main module.
	Replace []string
	// Args are the program's arguments to listen on host and port of this machine.
	Args func(host, port string) []string
	// Env is added to the environment of the program.
	Env []string
}

// Start runs the server until the test ends and returns its URL. The program is built at
// its first use on a machine and kept in the user's cache directory.
func (s Server) Start(tb testing.TB) (url string) {
	tb.Helper()
	program, err := s.build()
	if err != nil {
		tb.Fatalf("%s: %v", s.name(), err)
	}
	// A port that was free a moment ago may be taken by now: try again then.
	for range 5 {
		if url, err = s.start(tb, program); err == nil {
			return url
		}
	}
	tb.Fatalf("%s: %v", s.name(), err)
	return ""
}

// Run runs the server's program once with other arguments, as a tool, and waits for its
// end.
func (s Server) Run(tb testing.TB, args ...string) {
	tb.Helper()
	program, err := s.build()
	if err != nil {
		tb.Fatalf("%s: %v", s.name(), err)
	}
	if output, err := exec.CommandContext(tb.Context(), program, args...).CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", s.name(), err, output)
	}
}

func (s Server) name() string { return path.Base(s.Package) }

func (s Server) start(tb testing.TB, program string) (string, error) {
	tb.Helper()
	address, err := ports.Free()
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	var output syncBuffer
	ctx, cancel := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, program, s.Args(host, port)...)
	server.Stdout, server.Stderr = &output, &output
	server.Env = append(os.Environ(), s.Env...)
	if err := server.Start(); err != nil {
		cancel()
		return "", fmt.Errorf("start: %w", err)
	}
	ended, end := context.WithCancelCause(context.Background())
	go func() { end(server.Wait()) }()
	stop := func() {
		cancel()
		<-ended.Done()
	}
	if err := await(ended, "http://"+address); err != nil {
		stop()
		return "", fmt.Errorf("%w; it wrote: %s", err, output.String())
	}
	tb.Cleanup(stop)
	return "http://" + address, nil
}

// await asks the server until it responds at all, or has ended.
func await(ended context.Context, url string) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	deadline := time.After(startTimeout)
	for {
		if response, err := client.Get(url); err == nil {
			return response.Body.Close()
		}
		select {
		case <-ended.Done():
			return fmt.Errorf("the server ended: %w", context.Cause(ended))
		case <-deadline:
			return fmt.Errorf("the server does not answer within %v", startTimeout)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// build returns the path of the program. Test processes run side by side, so it is
// built aside and renamed into place.
func (s Server) build() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	dir := filepath.Join(cache, "firescan-test", s.name()+"-"+s.Version)
	program := filepath.Join(dir, s.name())
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	aside, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(aside)
	if err := s.compile(aside); err != nil {
		return "", fmt.Errorf("build %s@%s: %w", s.Package, s.Version, err)
	}
	return program, os.Rename(filepath.Join(aside, s.name()), program)
}

// compile builds the program in dir, as part of a new module.
func (s Server) compile(dir string) error {
	what := s.Package
	if s.Source != "" {
		what = "."
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(s.Source), 0o600); err != nil {
			return err
		}
	}
	steps := [][]string{{"mod", "init", "program"}}
	for _, replacement := range s.Replace {
		steps = append(steps, []string{"mod", "edit", "-replace", replacement})
	}
	steps = append(steps, []string{"get", s.Package + "@" + s.Version}, []string{"build", "-o", s.name(), what})
	for _, args := range steps {
		step := exec.Command("go", args...)
		step.Dir = dir
		step.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
		if output, err := step.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", args[0], err, output)
		}
	}
	return nil
}

// syncBuffer is a bytes.Buffer that a process may write while it is read.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
