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
)

// usage is the resource usage of a process.
type usage struct {
	wall      time.Duration
	user, sys time.Duration
	maxRSS    uint64 // bytes
}

func (u usage) cpu() time.Duration { return u.user + u.sys }

// measure runs a command to completion, with its standard output going to out.
func measure(ctx context.Context, cmd []string, env []string, out io.Writer) (usage, error) {
	c := exec.CommandContext(ctx, cmd[0], cmd[1:]...)
	var stderr bytes.Buffer
	c.Env = append(os.Environ(), env...)
	c.Stdout, c.Stderr = out, &stderr
	start := time.Now()
	err := c.Run()
	wall := time.Since(start)
	if err != nil {
		return usage{}, fmt.Errorf("%s: %w: %s", strings.Join(cmd, " "), err, lastOutput(stderr.String()))
	}
	u := usage{wall: wall, user: c.ProcessState.UserTime(), sys: c.ProcessState.SystemTime()}
	if r, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.maxRSS = uint64(r.Maxrss) << 10
	}
	return u, nil
}

// lastOutput returns the end of a program's output, to show why it failed.
func lastOutput(text string) string {
	text = strings.TrimSpace(text)
	return text[max(0, len(text)-2000):]
}

// lineCounter is a writer that counts lines.
type lineCounter struct{ n uint64 }

func (l *lineCounter) Write(b []byte) (int, error) {
	l.n += uint64(bytes.Count(b, []byte("\n")))
	return len(b), nil
}

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, 100 on every Linux
// that Go runs on.
const clockTick = 10 * time.Millisecond

// processCPU returns the CPU time used by a running process.
func processCPU(pid int) (user, sys time.Duration, err error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0, err
	}
	return parseStat(string(stat))
}

func parseStat(stat string) (user, sys time.Duration, err error) {
	// The second field, the name in parentheses, may contain spaces and parentheses.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, 0, fmt.Errorf("parse /proc stat: too few fields: %q", stat)
	}
	u, uerr := strconv.ParseInt(fields[11], 10, 64)
	s, serr := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(u) * clockTick, time.Duration(s) * clockTick, errors.Join(uerr, serr)
}

// peakRSS returns the peak resident memory of a running process in bytes, since its start
// or since resetPeakRSS.
func peakRSS(pid int) (uint64, error) {
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
	return 0, errors.New("parse /proc status: no VmHWM")
}

// resetPeakRSS resets the value that peakRSS returns (proc(5), clear_refs).
func resetPeakRSS(pid int) error {
	return os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "clear_refs"), []byte("5"), 0)
}

// meter measures the resource usage of a process from the time of its creation.
type meter struct {
	pid       int
	user, sys time.Duration
}

func (m *meter) read() (u usage, err error) {
	if u.user, u.sys, err = processCPU(m.pid); err != nil {
		return usage{}, err
	}
	u.user -= m.user
	u.sys -= m.sys
	u.maxRSS, err = peakRSS(m.pid)
	return u, err
}
