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
		output, _ := os.ReadFile(d.output.Name())
		return fmt.Errorf("%s ended by itself, %v: %s", filepath.Base(d.cmd.Path), d.cmd.ProcessState, lastOutput(string(output)))
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
