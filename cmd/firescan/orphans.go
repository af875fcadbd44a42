package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"firescan/api"
	apiclient "firescan/api/client"
)

// printSkipped prints what a cleanup leaves, if anything.
func printSkipped(w io.Writer, s *apiclient.Skipped) {
	for _, part := range []struct {
		n    int64
		what string
	}{
		{s.TooYoung, fmt.Sprintf("orphans are younger than %s (--min-age)", api.AgeText(time.Duration(s.MinAgeSeconds)*time.Second))},
		{s.UnknownType, "orphans are of unknown type (--include-unknown)"},
		{s.ResemblesMissing, "orphans resemble missing backups (--include-resembling), such as " + pathsText(s.ResemblesMissingExamples)},
		{s.KeptForOthers, "files are kept only because other organizations need them"},
		{s.Retained, "files are under retention or a hold"},
	} {
		if part.n > 0 {
			fmt.Fprintf(w, "left: %s %s\n", count(part.n), part.what)
		}
	}
}

func orphansCommand(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "orphans", Short: "Delete files that no backup needs",
		Example: `  firescan orphans clean production --dry-run
  firescan files production --orphans`,
	})
	cmd.AddCommand(orphansCleanCommand(a))
	return cmd
}

// A cleanup is one run of `orphans clean`.
type cleanup struct {
	app    *app
	client *client
	id     string
	params apiclient.CleanupOrphansParams
	dryRun bool
	yes    bool
	// confirm is the hash of the plan to execute.
	confirm string
}

func orphansCleanCommand(a *app) *cobra.Command {
	c := cleanup{app: a}
	var typ string
	cmd := &cobra.Command{
		Use: "clean DESTINATION", Short: "Delete the orphans of a destination", Args: positional(cobra.ExactArgs(1)),
		Long: `Delete the orphans of a destination, after showing the plan and asking for confirmation.

A cleanup deletes only files of a recognized type that no backup of any organization needs,
that are older than the node's --orphan-min-age, and that have not changed since the last
sync. A plan that meets guards must be confirmed by its hash: it covers more than half of
the files; no backup in the bucket is known; the share of orphans has jumped, or there are
many new orphans and few changed records; the feed of records is incomplete; backups have
no file in the bucket. --yes alone stops there with exit code 1.

An orphan that has the last path segment of a missing backup, or its size and the stem of
that segment, is left out, unless --include-resembling adds it; such a plan must always be
confirmed by its hash.`,
		Example: `  firescan orphans clean production --dry-run
  firescan orphans clean production --min-age 30d --yes
  firescan orphans clean production --confirm 0123456789abcdef0123456789abcdef`,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, id, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			c.client, c.id, c.params.Type = client, id, apiclient.FileType(typ)
			return c.run(cmd)
		},
	}
	a.orgFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&a.json, "json", false, "print the response of the API unchanged, and do not ask for confirmation")
	f.BoolVar(&c.dryRun, "dry-run", false, "show the plan and delete nothing")
	yesFlag(f, &c.yes, "delete")
	f.StringVar(&c.confirm, "confirm", "", "hash of the plan to execute without asking for confirmation")
	f.StringVar(&c.params.MinAge, "min-age", "", "minimum time since the last modification, such as 24h or 30d (default: the node's --orphan-min-age)")
	f.StringVar(&typ, "type", "", "only files of this type: backup, meta, auth, pitr or unknown")
	f.BoolVar(&c.params.IncludeUnknown, "include-unknown", false, "also files of unknown type")
	f.BoolVar(&c.params.IncludeResembling, "include-resembling", false, "also files that resemble missing backups")
	return cmd
}

// run shows the plan, asks for confirmation and deletes.
func (c *cleanup) run(cmd *cobra.Command) error {
	confirmed := c.yes || c.confirm != ""
	if c.app.json {
		switch {
		case c.dryRun:
			c.params.DryRun = true
		case !confirmed:
			return usagef("no confirmation: --json needs --dry-run, --yes or --confirm HASH")
		}
		r, err := c.post(cmd)
		return pipe(c.app, r, err)
	}
	plan, err := c.plan(cmd)
	if err != nil {
		return err
	}
	if err := c.printPlan(plan); err != nil || c.dryRun || plan.Plan.Orphans == 0 {
		return err
	}
	if c.confirm != "" && c.confirm != plan.PlanHash {
		return fmt.Errorf("nothing was deleted: --confirm does not match the current plan, %s", plan.PlanHash)
	}
	if !confirmed {
		if err := c.app.confirm(cleanupQuestion(plan), false); err != nil {
			return err
		}
		c.confirm = plan.PlanHash // delete only what was shown
	}
	return c.execute(cmd, plan)
}

// plan requests a dry run.
func (c *cleanup) plan(cmd *cobra.Command) (*apiclient.CleanedUpReply_Data, error) {
	params := c.params
	params.DryRun = true
	reply, err := apiclient.Decode(c.client.api().CleanupOrphans(cmd.Context(), c.id, &params))
	if err != nil {
		return nil, err
	}
	return &reply.Data, nil
}

// printPlan prints the files of a plan on standard output, and its totals on standard
// error.
func (c *cleanup) printPlan(p *apiclient.CleanedUpReply_Data) error {
	head := ""
	if len(p.Plan.First) > 0 {
		head = "TYPE SIZE MODIFIED PATH"
	}
	if err := table(c.app.out, head, func(row func(...any)) {
		for _, f := range p.Plan.First {
			row(f.Type, sizeText(f.Size), when(f.LastModified), pathText(f.Path))
		}
	}); err != nil {
		return err
	}
	if more := p.Plan.Orphans - int64(len(p.Plan.First)); more > 0 {
		fmt.Fprintf(c.app.out, "and %s more\n", count(more))
	}
	fmt.Fprintf(c.app.err, "%s of %s files (%s) would be deleted; the plan is %s\n",
		count(p.Plan.Orphans), count(p.Plan.Files), sizeText(p.Plan.Size), p.PlanHash)
	printSkipped(c.app.err, &p.Skipped)
	if p.Plan.TooLarge {
		fmt.Fprintln(c.app.err, "Were all backups imported? The plan must be confirmed:")
	}
	for _, g := range p.Plan.Guards {
		fmt.Fprintf(c.app.err, "  %s: %s (limit: %s)\n", g.Guard, oneLine(g.Saw), g.Limit)
		if len(g.Examples) > 0 {
			fmt.Fprintf(c.app.err, "    such as %s\n", pathsText(g.Examples))
		}
		fmt.Fprintf(c.app.err, "    to go on: %s\n", oneLine(g.HowToGoOn))
	}
	return nil
}

// pathsText returns the first paths of a list.
func pathsText(paths []string) string {
	var texts []string
	for _, p := range paths[:min(len(paths), 3)] {
		texts = append(texts, pathText(p))
	}
	return strings.Join(texts, ", ")
}

// cleanupQuestion asks for confirmation of a plan.
func cleanupQuestion(p *apiclient.CleanedUpReply_Data) question {
	q := question{text: fmt.Sprintf("Delete %s files?", count(p.Plan.Orphans)), undone: "nothing was deleted", flags: "--yes or --confirm " + p.PlanHash}
	if p.Plan.TooLarge {
		q.answer = "delete " + p.PlanHash[:6]
	}
	return q
}

// execute deletes the files and prints the result.
func (c *cleanup) execute(cmd *cobra.Command, p *apiclient.CleanedUpReply_Data) error {
	fmt.Fprintln(c.app.err, "Deleting; an interrupt stops it after the current requests.")
	reply, err := apiclient.Decode(c.post(cmd))
	if isCode(err, apiclient.CodeCLEANUPTOOLARGE) {
		return fmt.Errorf("%w; to delete them all the same, give --confirm %s", err, p.PlanHash)
	}
	if err != nil {
		return err
	}
	result := &reply.Data
	fmt.Fprintf(c.app.out, "deleted %s files (%s)\n", count(result.DeletedCount), bytesText(result.FreedSpace))
	c.printEffect(result)
	for _, e := range result.Errors {
		fmt.Fprintf(c.app.err, "%s: %s (%s)\n", pathText(e.Path), failureText(e), e.Code)
	}
	if n := result.FailedCount; n > 0 {
		return fmt.Errorf("%s files were not deleted", count(n))
	}
	return nil
}

// printEffect prints what the deletion did not do: free space, or delete all files.
func (c *cleanup) printEffect(r *apiclient.CleanedUpReply_Data) {
	switch {
	case r.Versioned && r.FreedSpace == 0:
		fmt.Fprintln(c.app.out, "no space was freed: the bucket keeps versions")
	case r.Versioned:
		fmt.Fprintln(c.app.out, "the bucket keeps versions of some of the files, which frees no space")
	}
	if r.SoftDeleteSeconds > 0 {
		fmt.Fprintf(c.app.out, "the bucket keeps deleted files for %v, and their space is paid for until then\n", time.Duration(r.SoftDeleteSeconds)*time.Second)
	}
	printSkipped(c.app.out, &r.Skipped)
}

// post requests the cleanup, whose duration grows with the number of files.
func (c *cleanup) post(cmd *cobra.Command) (*apiclient.Response[apiclient.CleanedUpReply], error) {
	c.params.Confirm = c.confirm
	return c.client.patient().CleanupOrphans(cmd.Context(), c.id, &c.params)
}
