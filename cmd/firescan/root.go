package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

const (
	exitOK = iota
	exitFailed
	exitUsage
)

const usageFooter = `
Every flag except --yes and --confirm is also an environment variable: --http-addr is FIRESCAN_HTTP_ADDR.
With --json an error is one line of JSON on standard error: code, message, requestId, details.
Exit codes: 0 success, 1 failure, 2 usage error.
`

// run executes a command line and returns the exit code.
func run(ctx context.Context, a *app, args []string) int {
	root := rootCommand(a) //nolint:contextcheck // requests bring contexts of their own
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code, text := exitFailed, err.Error()
	if e, ok := errors.AsType[*apiclient.Error](err); ok && nextStep[e.Code] != "" {
		text += "; " + nextStep[e.Code]
	}
	_, unwatched := errors.AsType[*unwatchedError](err)
	_, usage := errors.AsType[usageError](err)
	switch {
	case usage:
		code, text = exitUsage, text+"; see `"+cmd.CommandPath()+" --help`"
	case unwatched:
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		text = "stopped"
	}
	if text = oneLine(text); a.wantsJSON(args) {
		a.printJSONError(err, text)
	} else {
		fmt.Fprintln(a.err, "firescan:", text)
	}
	return code
}

func rootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "firescan",
		Short: "Find the files in backup buckets that no backup needs, and the backups without a file",
		Long: `firescan lists backup buckets, classifies files as linked to a backup or orphaned, and
serves the result from an index over HTTP.`,
		Example: `  firescan demo
  firescan serve --data-dir ./data
  firescan sync --watch production`,
		Version:      version(),
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Name() == cobra.ShellCompRequestCmd || cmd.Name() == cobra.ShellCompNoDescRequestCmd {
				return nil // a shell would take an error for a value
			}
			if err := checkEnvironment(cmd.Root(), a.environ()); err != nil {
				return err
			}
			return a.flagsFromEnv(cmd.Flags())
		},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		serveCommand(a), demoCommand(a), tokenCommand(a), destinationCommand(a), bucketCommand(a), syncCommand(a), filesCommand(a), orphansCommand(a),
		statsCommand(a), auditCommand(a), backupsCommand(a), importCommand(a), clusterCommand(a), versionCommand(a),
	)
	group(root)
	a.complete(root)
	root.SetVersionTemplate("firescan {{.Version}}\n")
	root.SetUsageTemplate(root.UsageTemplate() + usageFooter)
	return root
}
