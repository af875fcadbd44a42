package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

// maxShown is how many of the things to delete are shown.
const maxShown = 20

// A bulkDelete deletes named things of a destination in one request.
type bulkDelete struct {
	app       *app
	confirmed bool
	from      string
	// what names one of them, in plural with an s.
	what string
	// show prints the first of them on standard error.
	show   func(ctx context.Context, c *client, id string, names []string) error
	delete func(ctx context.Context, c *apiclient.Client, id string, names []string) (*bulkResult, error)
}

// A bulkResult is the result of a deletion.
type bulkResult struct {
	failed  int64
	refused []apiclient.FileFailure
	message string
}

// add adds the failure of a result, if it has one.
func (r *bulkResult) add(name string, f apiclient.Failure) {
	if f.Code != "" {
		r.refused = append(r.refused, apiclient.FileFailure{Path: name, Code: f.Code, Message: f.Message, Details: f.Details})
	}
}

// command adds what the commands have in common.
func (d *bulkDelete) command(cmd *cobra.Command) *cobra.Command {
	cmd.Args = positional(cobra.MinimumNArgs(1))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		names, err := d.names(args[1:])
		if err != nil {
			return err
		}
		return d.run(cmd.Context(), args[0], names)
	}
	d.app.orgFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&d.app.json, "json", false, "print the response of the API unchanged; needs --yes")
	f.StringVar(&d.from, "from", "", "file with one "+d.what+" on each line, in addition to the arguments (- for standard input)")
	yesFlag(f, &d.confirmed, "delete")
	return cmd
}

// names returns those of the arguments and of the file.
func (d *bulkDelete) names(args []string) ([]string, error) {
	var text []byte
	var err error
	switch d.from {
	case "":
	case "-":
		text, err = io.ReadAll(d.app.in)
	default:
		text, err = os.ReadFile(d.from)
	}
	if err != nil {
		return nil, fmt.Errorf("read --from: %w", err)
	}
	names := append([]string{}, args...)
	for line := range bytes.Lines(text) {
		if name := strings.TrimRight(string(line), "\r\n"); name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, usagef("nothing to delete: name at least one %s, or set --from", d.what)
	}
	return names, nil
}

// run shows what is to be deleted, asks for confirmation and deletes.
func (d *bulkDelete) run(ctx context.Context, destination string, names []string) error {
	a := d.app
	if a.json && !d.confirmed {
		return usagef("no confirmation: --json needs --yes")
	}
	c, id, err := a.findDestination(ctx, destination)
	if err != nil {
		return err
	}
	if !d.confirmed {
		if err := d.show(ctx, c, id, names[:min(len(names), maxShown)]); err != nil {
			return err
		}
		if more := len(names) - maxShown; more > 0 {
			fmt.Fprintf(a.err, "and %s more\n", count(int64(more)))
		}
		if err := a.confirm(question{text: fmt.Sprintf("Delete %s?", d.amount(int64(len(names)))), undone: "nothing was deleted"}, false); err != nil {
			return err
		}
	}
	result, err := d.delete(ctx, c.patient(), id, names)
	if err != nil {
		return err
	}
	if !a.json {
		for _, f := range result.refused {
			fmt.Fprintf(a.err, "%s: %s (%s)\n", pathText(f.Path), failureText(f), f.Code)
		}
		if err := a.printMessage(result.message); err != nil {
			return err
		}
	}
	if n := result.failed; n > 0 {
		return fmt.Errorf("%s not deleted", d.amount(n))
	}
	return nil
}

// amount returns a number of things as text.
func (d *bulkDelete) amount(n int64) string {
	if n == 1 {
		return "1 " + d.what
	}
	return count(n) + " " + d.what + "s"
}

func filesDeleteCommand(a *app) *cobra.Command {
	d := &bulkDelete{
		app: a, what: "file", show: a.showFiles,
		delete: func(ctx context.Context, c *apiclient.Client, id string, paths []string) (*bulkResult, error) {
			r, err := c.DeleteFiles(ctx, id, apiclient.DeleteFilesJSONRequestBody{Paths: paths})
			reply, err := read(a, r, err)
			if err != nil {
				return nil, err
			}
			result := &bulkResult{failed: reply.Data.FailedCount, message: reply.Message}
			for _, one := range reply.Data.Results {
				result.add(one.Path, one.Error)
			}
			return result, nil
		},
	}
	return d.command(&cobra.Command{
		Use: "delete DESTINATION [PATH...]", Aliases: []string{"rm"}, Short: "Delete files that no backup needs",
		Long: `Delete files that no backup needs, after showing them and asking for confirmation. Files that
a backup needs are refused one by one, and the others are deleted: then the exit code is 1.`,
		Example: `  firescan files delete production backups/2023/old.backup
  firescan files delete production --from paths.txt --yes`,
	})
}

// showFiles prints files as the index has them.
func (a *app) showFiles(ctx context.Context, c *client, id string, paths []string) error {
	var rows [][]any
	for _, path := range paths {
		page, err := apiclient.Decode(c.api().ListFiles(ctx, id, &apiclient.ListFilesParams{Prefix: path, Limit: 1}))
		if err != nil {
			return err
		}
		found := page.Data
		// The path itself is first of all keys that begin with it.
		if len(found.Files) == 0 || found.Files[0].Path != path {
			rows = append(rows, []any{"-", "not found", "-", "-", pathText(path)})
			continue
		}
		f := found.Files[0]
		link := "linked"
		if f.IsOrphan {
			link = "orphan"
		}
		rows = append(rows, []any{f.Type, link, sizeText(f.Size), when(f.LastModified), pathText(f.Path)})
	}
	return table(a.err, "TYPE LINK SIZE MODIFIED PATH", func(row func(...any)) {
		for _, r := range rows {
			row(r...)
		}
	})
}

func backupsDeleteCommand(a *app) *cobra.Command {
	var files bool
	d := &bulkDelete{
		app: a, what: "backup", show: a.showBackups,
		delete: func(ctx context.Context, c *apiclient.Client, id string, ids []string) (*bulkResult, error) {
			r, err := c.DeleteBackups(ctx, id, apiclient.DeleteBackups{BackupIds: ids, DeleteStorageFiles: files})
			reply, err := read(a, r, err)
			if err != nil {
				return nil, err
			}
			result := &bulkResult{failed: reply.Data.FailedCount, message: reply.Message}
			for _, one := range reply.Data.Results {
				result.add(one.BackupID, one.Error)
			}
			return result, nil
		},
	}
	cmd := d.command(&cobra.Command{
		Use: "delete DESTINATION [BACKUP...]", Aliases: []string{"rm"}, Short: "Delete backup records, and with --with-files their files",
		Long: `Delete backup records by id, after showing them and asking for confirmation. With
--with-files, the files of each backup are deleted first, except those that another backup
needs. Without it the files stay, and may become orphans.`,
		Example: `  firescan backups delete production bkp_2023_01 bkp_2023_02
  firescan backups delete production bkp_2023_01 --with-files --yes`,
	})
	cmd.Flags().BoolVar(&files, "with-files", false, "also delete the files of the backups")
	return cmd
}

// showBackups prints backup records.
func (a *app) showBackups(ctx context.Context, c *client, _ string, ids []string) error {
	var found []apiclient.Backup
	for _, id := range ids {
		r, err := apiclient.Decode(c.api().GetBackup(ctx, id, nil))
		switch {
		case isCode(err, apiclient.CodeBACKUPNOTFOUND):
			found = append(found, apiclient.Backup{ID: id, Status: "not found"})
		case err != nil:
			return err
		default:
			b := &r.Data
			found = append(found, apiclient.Backup{
				ID: id, ProjectID: b.ProjectID, Status: b.Status, Size: b.Size, CreatedAt: b.CreatedAt, StoragePath: b.StoragePath,
			})
		}
	}
	return printBackups(a.err, found, true)
}
