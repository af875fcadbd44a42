package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"firescan/bench/bucketserver"
)

// usage is what a process took.
type usage struct {
	wall      time.Duration
	user, sys time.Duration
	maxRSS    uint64 // bytes
}

func (u usage) cpu() time.Duration { return u.user + u.sys }

// measure runs a command to its end. out receives its standard output.
func measure(ctx context.Context, cmd []string, env []string, out io.Writer) (usage, error) {
	c := exec.CommandContext(ctx, cmd[0], cmd[1:]...)
	var stderr bytes.Buffer
	c.Env = append(os.Environ(), env...)
	c.Stdout, c.Stderr = out, &stderr
	start := time.Now()
	err := c.Run()
	wall := time.Since(start)
	if err != nil {
		return usage{}, fmt.Errorf("%s: %w: %s", strings.Join(cmd, " "), err, tail(stderr.String()))
	}
	u := usage{wall: wall, user: c.ProcessState.UserTime(), sys: c.ProcessState.SystemTime()}
	if r, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.maxRSS = uint64(r.Maxrss) << 10
	}
	return u, nil
}

// tail is the end of a program's messages: enough to see why it failed.
func tail(text string) string {
	text = strings.TrimSpace(text)
	return text[max(0, len(text)-2000):]
}

// lines counts the lines that are written to it.
type lines struct{ n uint64 }

func (l *lines) Write(b []byte) (int, error) {
	l.n += uint64(bytes.Count(b, []byte("\n")))
	return len(b), nil
}

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, 100 on every Linux
// that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuOf is the CPU time that a running process has taken.
func cpuOf(pid int) (user, sys time.Duration, err error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0, err
	}
	return parseStat(string(stat))
}

func parseStat(stat string) (user, sys time.Duration, err error) {
	// The second field, the name in parentheses, may hold blanks and parentheses.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, 0, fmt.Errorf("stat of a process: %q", stat)
	}
	u, uerr := strconv.ParseInt(fields[11], 10, 64)
	s, serr := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(u) * clockTick, time.Duration(s) * clockTick, errors.Join(uerr, serr)
}

// peakOf is the most memory that a running process has had resident, in bytes,
// since it began or since resetPeak.
func peakOf(pid int) (uint64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	return parsePeak(string(status))
}

func parsePeak(status string) (uint64, error) {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("status of a process has no VmHWM")
}

// resetPeak lets peakOf begin anew (proc(5), clear_refs).
func resetPeak(pid int) error {
	return os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "clear_refs"), []byte("5"), 0)
}

// daemon is a process that runs until it is stopped.
type daemon struct {
	cmd    *exec.Cmd
	done   chan struct{} // closed when it has ended
	output *os.File
}

// startDaemon starts a process whose output goes to a file.
func startDaemon(cmd []string, env []string, output string) (*daemon, error) {
	f, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	c := exec.Command(cmd[0], cmd[1:]...)
	c.Env = append(os.Environ(), env...)
	c.Stdout, c.Stderr = f, f
	if err := c.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", cmd[0], err), f.Close())
	}
	d := &daemon{cmd: c, done: make(chan struct{}), output: f}
	go func() {
		_ = c.Wait() // ProcessState tells how it ended
		close(d.done)
	}()
	return d, nil
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// failed tells what the process said when it has ended by itself, nil while it runs.
func (d *daemon) failed() error {
	select {
	case <-d.done:
		said, _ := os.ReadFile(d.output.Name())
		return fmt.Errorf("%s ended by itself, %v: %s", filepath.Base(d.cmd.Path), d.cmd.ProcessState, tail(string(said)))
	default:
		return nil
	}
}

// stop ends the process, with force when it takes more than ten seconds.
func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(10 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	_ = d.output.Close()
}

// kill ends the process without a warning.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	<-d.done
	_ = d.output.Close()
}

// server is a running bucket server.
type server struct {
	daemon   *daemon
	endpoint string
}

const bucketName = "bench-bucket"

func startServer(ctx context.Context, program string, layout bucketserver.Layout, n uint64, latency time.Duration) (*server, error) {
	output := filepath.Join(filepath.Dir(program), "bucketserver.out")
	d, err := startDaemon([]string{
		program, "-layout", string(layout), "-keys", strconv.FormatUint(n, 10),
		"-latency", latency.String(), "-bucket", bucketName,
	}, nil, output)
	if err != nil {
		return nil, err
	}
	for {
		said, err := os.ReadFile(output)
		if err == nil && bytes.HasSuffix(said, []byte("\n")) && bytes.HasPrefix(said, []byte("http")) {
			return &server{d, strings.TrimSpace(string(said))}, nil
		}
		if err := d.failed(); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			d.stop()
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// tally is what the server has done and taken so far.
type tally struct {
	requests, lists, keys uint64
	cpu                   time.Duration
}

func (s *server) tally(ctx context.Context) (tally, error) {
	var c struct{ Requests, Lists, Keys uint64 }
	if err := getJSON(ctx, s.endpoint+"/-/counts", nil, &c); err != nil {
		return tally{}, err
	}
	user, sys, err := cpuOf(s.daemon.pid())
	return tally{c.Requests, c.Lists, c.Keys, user + sys}, err
}

func (t tally) since(before tally) tally {
	return tally{t.requests - before.requests, t.lists - before.lists, t.keys - before.keys, t.cpu - before.cpu}
}

// look is how often the server's counts are asked for while a scan runs.
const look = 10 * time.Millisecond

// lastList looks at the server until ctx ends, and answers when it was last seen to have
// answered another list.
func (s *server) lastList(ctx context.Context) (last time.Time) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for lists := uint64(0); ; {
		if t, err := s.tally(ctx); err == nil && t.lists != lists {
			lists, last = t.lists, time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last
		}
	}
}

// served waits until the server has sent so many keys.
func (s *server) served(ctx context.Context, keys uint64) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for sent := uint64(0); ; {
		t, err := s.tally(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("wait until the bucket's server has sent %d keys (it has sent %d): %w", keys, sent, context.Cause(ctx))
		}
		if sent = t.keys; err != nil || sent >= keys {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
