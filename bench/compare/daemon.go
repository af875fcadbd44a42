package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// daemon is a process that runs until it is stopped.
type daemon struct {
	cmd    *exec.Cmd
	done   chan struct{} // closed when the process has exited
	output *os.File
}

// startDaemon starts a process and redirects its output to a file.
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
		_ = c.Wait() // failed reports ProcessState
		close(d.done)
	}()
	return d, nil
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// failed returns an error with the end of the output if the process has exited, or nil
// while it runs.
func (d *daemon) failed() error {
	select {
	case <-d.done:
		output, _ := os.ReadFile(d.output.Name())
		return fmt.Errorf("%s exited unexpectedly: %v: %s", filepath.Base(d.cmd.Path), d.cmd.ProcessState, lastOutput(string(output)))
	default:
		return nil
	}
}

// stop terminates the process, and kills it if it still runs after ten seconds.
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

// kill kills the process.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	<-d.done
	_ = d.output.Close()
}
