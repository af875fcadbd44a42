package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// Exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// envPrefix begins the environment variable of each flag: --http-addr is
// FIRESCAN_HTTP_ADDR.
const envPrefix = "FIRESCAN_"

// app is one run of the program: where it reads and writes, and the flags that all
// commands which talk to a node share.
type app struct {
	program  string // as it was called
	in       io.Reader
	out, err io.Writer
	getenv   func(string) (string, bool)

	addr, token, org string
	caFile           string
	json             bool
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (e usageError) Unwrap() error { return e.error }

// run carries out a command line and answers the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCommand() //nolint:contextcheck // requests bring contexts of their own
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code, text := exitFailed, err.Error()
	_, unwatched := errors.AsType[*unwatchedError](err)
	_, usage := errors.AsType[usageError](err)
	switch {
	case usage:
		code, text = exitUsage, text+"; see `"+cmd.CommandPath()+" --help`"
	case unwatched:
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		text = "stopped"
	}
	fmt.Fprintln(a.err, "firescan:", oneLine(text))
	return code
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "firescan",
		Short: "Knows what is in every backup bucket, and which files no backup needs",
		Long: `firescan lists backup buckets, tells which files belong to a backup and which are
orphans, keeps the answer in an index and serves it over HTTP.`,
		Example: `  firescan demo
  firescan serve --data-dir ./data
  firescan sync --watch production`,
		Version:      version(),
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.flagsFromEnv(cmd.Flags()) },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		a.serveCommand(), a.demoCommand(), a.tokenCommand(), a.destinationCommand(), a.syncCommand(), a.filesCommand(), a.orphansCommand(),
		a.statsCommand(), a.backupsCommand(), a.importCommand(), a.clusterCommand(), a.versionCommand(),
	)
	group(root)
	root.SetVersionTemplate("firescan {{.Version}}\n")
	root.SetUsageTemplate(root.UsageTemplate() + `
Every flag is also an environment variable: --http-addr is FIRESCAN_HTTP_ADDR.
`)
	return root
}

// group makes a command that only has others under it: without one it shows its help.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = takes(cobra.NoArgs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// takes makes wrong arguments a usage error.
func takes(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// flagsFromEnv sets the flags that the command line does not, from the environment.
func (a *app) flagsFromEnv(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || f.Name == "version" {
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

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// terminal tells whether what is written to w is seen by a person at once, with room
// for a bar: some terminals have no columns.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	return err == nil && columns > 0
}
