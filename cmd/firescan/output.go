package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	apiclient "firescan/api/client"
)

// read decodes the response to a call. With --json it also prints the response, unchanged.
func read[T any](a *app, r *apiclient.Response[T], err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	if a.json {
		r.Body = &copied{io.TeeReader(r.Body, a.out), r.Body}
	}
	return r.Decode()
}

// copied is a body that is printed as it is read.
type copied struct {
	io.Reader
	io.Closer
}

// show prints the response to a call: unchanged with --json, else by format.
func show[T any](a *app, r *apiclient.Response[T], err error, format func(*T) error) error {
	value, err := read(a, r, err)
	if err != nil || a.json {
		return err
	}
	return format(value)
}

// pipe prints a response of any size unchanged while it arrives.
func pipe[T any](a *app, r *apiclient.Response[T], err error) error {
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }()
	if _, err := io.Copy(a.out, r.Body); err != nil {
		return fmt.Errorf("the list is incomplete: %w", err)
	}
	return nil
}

// terminal reports whether w is a terminal with room for a progress bar: some have no
// columns.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	return err == nil && columns > 0
}
