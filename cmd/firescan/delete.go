package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	show func(ctx context.Context, c *client, id string, names []string) error
	path string
	body func(names []string) any
}

// A bulkResult is the response to a deletion.
type bulkResult struct {
	DeletedCount, FilesDeletedCount, FailedCount uint64
	Results                                      []struct {
		Path, BackupID string
		Error          *struct{ Code, Message string }
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
			fmt.Fprintf(a.err, "and %s more\n", count(uint64(more)))
		}
		if err := a.confirm(question{text: fmt.Sprintf("Delete %s?", d.amount(uint64(len(names)))), undone: "nothing was deleted"}, false); err != nil {
			return err
		}
	}
	raw, err := c.rawNoTimeout(ctx, http.MethodPost, destinationPath(id, d.path), d.body(names))
	if err != nil {
		return err
	}
	var envelope struct{ Data bulkResult }
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return unexpectedResponse(err)
	}
	if a.json {
		if err := a.printRaw(raw); err != nil {
			return err
		}
	} else {
		d.print(&envelope.Data, raw)
	}
	if n := envelope.Data.FailedCount; n > 0 {
		return fmt.Errorf("%s not deleted", d.amount(n))
	}
	return nil
}

// amount returns a number of things as text.
func (d *bulkDelete) amount(n uint64) string {
	if n == 1 {
		return "1 " + d.what
	}
	return count(n) + " " + d.what + "s"
}

// print prints the result, and each failure on standard error.
func (d *bulkDelete) print(r *bulkResult, raw []byte) {
	for _, one := range r.Results {
		if one.Error != nil {
			fmt.Fprintf(d.app.err, "%s: %s (%s)\n", pathText(cmp.Or(one.Path, one.BackupID)), oneLine(one.Error.Message), one.Error.Code)
		}
	}
	_ = d.app.printMessage(raw) // it was decoded before
}

func filesDeleteCommand(a *app) *cobra.Command {
	d := &bulkDelete{
		app: a, what: "file", path: "/files/bulk-delete", show: a.showFiles,
		body: func(paths []string) any { return map[string]any{"paths": paths} },
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
		var found struct{ Files []file }
		q := url.Values{"prefix": {path}, "limit": {"1"}}
		if err := c.call(ctx, http.MethodGet, destinationPath(id, "/files?"+q.Encode()), nil, &found); err != nil {
			return err
		}
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
		app: a, what: "backup", path: "/backups/bulk-delete", show: a.showBackups,
		body: func(ids []string) any { return map[string]any{"backupIds": ids, "deleteStorageFiles": files} },
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
	var found []backup
	for _, id := range ids {
		var b backup
		err := c.call(ctx, http.MethodGet, "/api/v1/catalog/backups/"+url.PathEscape(id), nil, &b)
		if isCode(err, apiclient.CodeBACKUPNOTFOUND) {
			b, err = backup{ID: id, Status: "not found"}, nil
		}
		if err != nil {
			return err
		}
		found = append(found, b)
	}
	return printBackups(a.err, found, true)
}
