// Command testtimes runs go test with its arguments, prints what go test prints, and then
// the slowest tests and all packages by duration. It exits with go test's status.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const slowestTests = 15

func main() {
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		r := newReport(os.Stdout)
		err = errors.Join(r.read(events), cmd.Wait())
		r.summarize(err != nil)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testtimes:", err)
		os.Exit(1)
	}
}

// An event is a line of go test -json: see go doc test2json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // seconds
}

type test struct{ pkg, name string }

// A result is a finished test or package. Only packages have a line.
type result struct {
	test
	line    string
	seconds float64
}

type report struct {
	out io.Writer
	// output holds what running tests printed: it is shown when they fail.
	output map[test]*bytes.Buffer
	// lines hold the last line that each package printed: ok, FAIL or ?.
	lines           map[string]string
	tests, packages []result
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[test]*bytes.Buffer{}, lines: map[string]string{}}
}

// read reads events to their end. A line that is no event is printed unchanged.
func (r *report) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		switch {
		case len(line) == 0:
		case json.Unmarshal(line, &e) != nil:
			_, _ = r.out.Write(line)
		default:
			r.handle(e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) handle(e event) {
	t := test{e.Package, e.Test}
	switch {
	case e.Action == "build-output":
		fmt.Fprint(r.out, e.Output)
	case e.Action == "output" && e.Test == "":
		r.packageOutput(e)
	case e.Action == "output":
		if r.output[t] == nil {
			r.output[t] = &bytes.Buffer{}
		}
		r.output[t].WriteString(e.Output)
	case e.Action != "pass" && e.Action != "fail" && e.Action != "skip":
	case e.Test == "":
		r.packageEnd(e)
	default:
		if e.Action == "fail" {
			r.flush(t)
		}
		delete(r.output, t)
		r.tests = append(r.tests, result{test: t, seconds: e.Elapsed})
	}
}

func (r *report) packageOutput(e event) {
	if e.Output == "PASS\n" {
		return
	}
	fmt.Fprint(r.out, e.Output)
	if line := strings.TrimSpace(e.Output); line != "" {
		r.lines[e.Package] = line
	}
}

func (r *report) packageEnd(e event) {
	for t := range r.output { // tests without an end: a panic or a timeout stopped them
		if t.pkg != e.Package {
			continue
		}
		if e.Action == "fail" {
			r.flush(t)
		}
		delete(r.output, t)
	}
	line := r.lines[e.Package]
	if !strings.HasPrefix(line, "?") {
		r.packages = append(r.packages, result{test{pkg: e.Package}, line, e.Elapsed})
	}
}

// flush prints the output of a failed test, without the lines of go test -v.
func (r *report) flush(t test) {
	if r.output[t] == nil {
		return
	}
	for line := range strings.Lines(r.output[t].String()) {
		if !strings.HasPrefix(strings.TrimLeft(line, " "), "=== ") {
			fmt.Fprint(r.out, line)
		}
	}
}

// summarize prints the slowest tests, and then the line of each package, slowest last.
// Results from the cache took no time.
func (r *report) summarize(failed bool) {
	cached := map[string]bool{}
	for i, p := range r.packages {
		if strings.HasSuffix(p.line, "(cached)") {
			cached[p.pkg], r.packages[i].seconds = true, 0
		}
	}
	r.tests = slices.DeleteFunc(r.tests, func(t result) bool { return cached[t.pkg] || strings.Contains(t.name, "/") })
	slices.SortStableFunc(r.tests, func(a, b result) int { return cmp.Compare(b.seconds, a.seconds) })
	fmt.Fprintln(r.out, "\nSlowest tests:")
	for _, t := range r.tests[:min(slowestTests, len(r.tests))] {
		fmt.Fprintf(r.out, "%8.2fs  %s %s\n", t.seconds, t.pkg, t.name)
	}
	slices.SortStableFunc(r.packages, func(a, b result) int { return cmp.Compare(a.seconds, b.seconds) })
	fmt.Fprintln(r.out, "\nPackages, slowest last:")
	for _, p := range r.packages {
		fmt.Fprintln(r.out, p.line)
	}
	if failed {
		fmt.Fprintln(r.out, "FAIL")
	}
}
