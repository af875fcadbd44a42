package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// show calls the API and prints the response: unchanged with --json, else its data by
// format.
func show[T any](ctx context.Context, a *app, c *client, method, path string, body any, format func(T) error) error {
	raw, err := c.raw(ctx, method, path, body)
	if err != nil {
		return err
	}
	return printData(a, raw, format)
}

// printData prints a response: unchanged with --json, else its data by format.
func printData[T any](a *app, raw []byte, format func(T) error) error {
	if a.json {
		return a.printRaw(raw)
	}
	var envelope struct{ Data T }
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return unexpectedResponse(err)
	}
	return format(envelope.Data)
}

func (a *app) printRaw(raw []byte) error {
	_, err := a.out.Write(raw)
	return err
}

// pipe prints a response of any size while it arrives.
func (a *app) pipe(cmd *cobra.Command, c *client, path string) error {
	body, err := c.stream(cmd.Context(), http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if _, err := io.Copy(a.out, body); err != nil {
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
