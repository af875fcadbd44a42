package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

const defaultAddr = "http://127.0.0.1:8080"

// talks gives a command the flags of those that talk to a node.
func (a *app) talks(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.StringVar(&a.addr, "addr", defaultAddr, "URL of a node (FIRESCAN_ADDR)")
	f.StringVar(&a.token, "token", "", "bearer token; better set FIRESCAN_TOKEN, a command line is seen by others")
	f.StringVar(&a.caFile, "ca-file", "", "PEM file with the certificates to trust, when the node has one of its own")
	return cmd
}

// ofOrg gives a command the flags of those about an organisation's things.
func (a *app) ofOrg(cmd *cobra.Command) *cobra.Command {
	a.talks(cmd).Flags().StringVar(&a.org, "org", "", "organisation that the token belongs to (FIRESCAN_ORG)")
	return cmd
}

// reads gives a command --json.
func (a *app) reads(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&a.json, "json", false, "print the API's answer as it is")
	return cmd
}

// asRoot does something that takes the root token. It tries those at hand: one that is
// said to be it, the usual one, and what the first start of a node wrote into its data
// directory; for a shell often has the token of an organisation at hand, too.
func (a *app) asRoot(dataDir string, do func(*client) error) error {
	var tokens []string
	if token, ok := a.getenv("FIRESCAN_ROOT_TOKEN"); ok && token != "" {
		tokens = append(tokens, token)
	}
	if a.token != "" {
		tokens = append(tokens, a.token)
	}
	file := filepath.Join(dataDir, "root.token")
	text, err := os.ReadFile(file)
	switch {
	case err == nil:
		tokens = append(tokens, strings.TrimSpace(string(text)))
	case len(tokens) == 0 && errors.Is(err, os.ErrNotExist):
		return usagef("no root token: set FIRESCAN_TOKEN to it, or FIRESCAN_DATA_DIR to the node's data directory (there is no %s)", file)
	case len(tokens) == 0:
		return fmt.Errorf("read the root token: %w", err)
	}
	for _, token := range tokens {
		var c *client
		if c, err = newClient(a.addr, token, "", a.caFile); err != nil {
			return err
		}
		err = do(c)
		e, ok := errors.AsType[*apiError](err)
		if !ok || !e.refused() {
			return err
		}
		err = fmt.Errorf("this takes the root token, and none at hand is it: set FIRESCAN_TOKEN to it, "+
			"or FIRESCAN_DATA_DIR to the node's data directory (%s)", e.Code)
	}
	return err
}

func dataDirFlag(cmd *cobra.Command, dir *string) *cobra.Command {
	cmd.Flags().StringVar(dir, "data-dir", "./data", "data directory of a node on this machine, to read its root token from")
	return cmd
}

// printRaw prints an answer as it came.
func (a *app) printRaw(raw []byte) error {
	_, err := a.out.Write(raw)
	return err
}

// secretFrom reads a secret from a file, or from standard input when that is "-".
func (a *app) secretFrom(file string) (string, error) {
	var (
		text []byte
		err  error
	)
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(a.in, 64<<10))
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
