package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	apiclient "firescan/api/client"
	"firescan/node"
)

const (
	// envPrefix starts the environment variable of each flag: --http-addr is
	// FIRESCAN_HTTP_ADDR.
	envPrefix   = "FIRESCAN_"
	defaultAddr = "http://127.0.0.1:8080"
)

// An app is one run of the program: its streams and environment, and the flags that the
// commands of a client share.
type app struct {
	program  string // os.Args[0]
	in       io.Reader
	out, err io.Writer
	getenv   func(string) (string, bool)
	environ  func() []string

	addr, token, org string
	caFile           string
	json             bool
}

// flagsFromEnv sets the flags that are not on the command line from the environment.
func (a *app) flagsFromEnv(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || !hasVariable(f) {
			return
		}
		name := envName(f.Name)
		if value, ok := a.getenv(name); ok && value != "" {
			if err := flags.Set(f.Name, value); err != nil {
				errs = append(errs, usagef("%s: %w", name, err))
			}
		}
	})
	return errors.Join(errs...)
}

// hasVariable reports whether a flag is also an environment variable. Confirmations are not:
// each is meant for one command.
func hasVariable(f *pflag.Flag) bool {
	switch f.Name {
	case "help", "version", "yes", "confirm":
		return false
	}
	return true
}

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// connectionFlags adds the flags of commands that call a node.
func (a *app) connectionFlags(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.StringVar(&a.addr, "addr", defaultAddr, "URL of a node")
	f.StringVar(&a.token, "token", "", "bearer token; prefer FIRESCAN_TOKEN, other users can see command lines")
	f.StringVar(&a.caFile, "ca-file", "", "PEM file with the CA certificates that sign the node's certificate (default: those of the system)")
	return cmd
}

// orgFlags adds the flags of commands that call a node for an organization.
func (a *app) orgFlags(cmd *cobra.Command) *cobra.Command {
	a.connectionFlags(cmd).Flags().StringVar(&a.org, "org", "", "organization of the token")
	return cmd
}

// jsonFlag adds --json.
func (a *app) jsonFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&a.json, "json", false, "print the response of the API unchanged")
	return cmd
}

func dataDirFlag(cmd *cobra.Command, dir *string) *cobra.Command {
	cmd.Flags().StringVar(dir, "data-dir", "./data", "data directory of a local node, to read its root token from")
	return cmd
}

// orgClient returns a client for the node and the organization that the flags name.
func (a *app) orgClient() (*client, error) {
	if a.token == "" {
		return nil, usagef("no token: set FIRESCAN_TOKEN, or create one with `firescan token create --org ORG --role ROLE`")
	}
	if a.org == "" {
		return nil, usagef("no organization: set FIRESCAN_ORG or --org")
	}
	return newClient(a.addr, a.token, a.org, a.caFile)
}

// findDestination returns a client and the id of the destination that an id or a name
// refers to.
func (a *app) findDestination(ctx context.Context, ref string) (*client, string, error) {
	c, err := a.orgClient()
	if err != nil {
		return nil, "", err
	}
	all, err := apiclient.Decode(c.api().ListDestinations(ctx, nil))
	if err != nil {
		return nil, "", err
	}
	var ids []string
	for _, d := range all.Data {
		if d.ID == ref {
			return c, ref, nil
		}
		if d.Name == ref {
			ids = append(ids, d.ID)
		}
	}
	switch len(ids) {
	case 1:
		return c, ids[0], nil
	case 0:
		return nil, "", fmt.Errorf("no destination %q: `firescan destination list` shows all destinations", ref)
	}
	return nil, "", usagef("%d destinations have the name %q: give an id (%s)", len(ids), ref, strings.Join(ids, ", "))
}

const needsRoot = "Needs the root token: FIRESCAN_ROOT_TOKEN, FIRESCAN_TOKEN, or the file root.token in --data-dir."

// asRoot calls do with a client that has the root token. It tries FIRESCAN_ROOT_TOKEN,
// the usual token and the file in the data directory, since a shell often has the token
// of an organization in FIRESCAN_TOKEN.
func (a *app) asRoot(dataDir string, do func(*client) error) error {
	type candidate struct{ token, source string }
	var tokens []candidate
	if token, ok := a.getenv(rootTokenVariable); ok && token != "" {
		tokens = append(tokens, candidate{token, rootTokenVariable})
	}
	if a.token != "" {
		tokens = append(tokens, candidate{a.token, "FIRESCAN_TOKEN or --token"})
	}
	file := filepath.Join(dataDir, "root.token")
	text, err := os.ReadFile(file)
	switch {
	case err == nil:
		a.warnLax(file)
		tokens = append(tokens, candidate{strings.TrimSpace(string(text)), file})
	case len(tokens) == 0 && errors.Is(err, os.ErrNotExist):
		return usagef("no root token: set FIRESCAN_ROOT_TOKEN, or --data-dir to the data directory of a node (%s does not exist)", file)
	case len(tokens) == 0:
		return fmt.Errorf("read the root token: %w", err)
	}
	for _, token := range tokens {
		var c *client
		if c, err = newClient(a.addr, token.token, "", a.caFile); err != nil {
			return err
		}
		err = do(c)
		e, ok := errors.AsType[*apiclient.Error](err)
		if !ok || (e.Code != apiclient.CodeUNAUTHORIZED && e.Code != apiclient.CodePERMISSIONDENIED) {
			return err
		}
		problem := "is of another role"
		if e.Code == apiclient.CodeUNAUTHORIZED {
			problem = "is unknown, revoked or expired; if none is left, `firescan token recover` makes a new one"
		}
		err = fmt.Errorf("this command needs the root token: set FIRESCAN_ROOT_TOKEN or --data-dir; that of %s %s (%s)", token.source, problem, e.Code)
	}
	return err
}

// warnLax warns of a secret file that other users can read.
func (a *app) warnLax(file string) {
	if warning := node.LaxSecret(file); warning != "" {
		fmt.Fprintln(a.err, "firescan: warning:", warning)
	}
}

// readSecret reads a secret from a file, or from standard input for "-".
func (a *app) readSecret(file string) (string, error) {
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
	a.warnLax(file)
	return strings.TrimSpace(string(text)), nil
}
