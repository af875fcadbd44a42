package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// cleanupPlan is the answer to a dry run of a cleanup.
type cleanupPlan struct {
	Hash string `json:"planHash"`
	Plan struct {
		Orphans, Files uint64
		Size           string
		TooLarge       bool
		First          []file
	}
}

// cleanedUp is the answer to a cleanup.
type cleanedUp struct {
	DeletedCount, FreedSpace, FailedCount uint64
	Errors                                []struct{ Path, Code, Message string }
}

func (a *app) orphansCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "orphans", Short: "Delete files that no backup needs",
		Example: `  firescan orphans clean production --dry-run
  firescan files production --orphans`,
	})
	cmd.AddCommand(a.orphansCleanCommand())
	return cmd
}

// cleaning is one run of `orphans clean`.
type cleaning struct {
	*app
	*client
	path   string
	query  url.Values
	dryRun bool
	yes    bool
	// confirm is the hash of the plan that is carried out.
	confirm string
}

func (a *app) orphansCleanCommand() *cobra.Command {
	var (
		c              cleaning
		includeUnknown bool
		typ, minimum   string
	)
	cmd := &cobra.Command{
		Use: "clean DESTINATION", Short: "Delete the orphans of a destination", Args: takes(cobra.ExactArgs(1)),
		Long: `Delete the orphans of a destination, after showing what would be deleted and asking.

Only files of a recognised type are deleted that no backup of any organisation needs, that
are older than the node's --orphan-min-age, and that are still what the last sync saw. When
that would be more than half of the files, or when no backup at all is known in the bucket,
the plan must be confirmed by its hash.`,
		Example: `  firescan orphans clean production --dry-run
  firescan orphans clean production --min-age 30d --yes
  firescan orphans clean production --confirm 0123456789abcdef0123456789abcdef`,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, id, err := a.destination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			c.app, c.client, c.path, c.query = a, client, destinationPath(id, "/cleanup-orphans?"), url.Values{}
			for name, value := range map[string]string{"minAge": minimum, "type": typ} {
				if value != "" {
					c.query.Set(name, value)
				}
			}
			if includeUnknown {
				c.query.Set("includeUnknown", "true")
			}
			return c.run(cmd)
		},
	}
	a.ofOrg(cmd)
	f := cmd.Flags()
	f.BoolVar(&a.json, "json", false, "print the API's answer as it is, and ask nothing")
	f.BoolVar(&c.dryRun, "dry-run", false, "show what would be deleted, and delete nothing")
	f.BoolVar(&c.yes, "yes", false, "delete without asking")
	f.StringVar(&c.confirm, "confirm", "", "delete exactly the plan with this hash, without asking")
	f.StringVar(&minimum, "min-age", "", "only files last modified longer ago than this (24h, 30d)")
	f.StringVar(&typ, "type", "", "only files of this type: backup, meta, auth, pitr or unknown")
	f.BoolVar(&includeUnknown, "include-unknown", false, "also files of unknown type")
	return cmd
}

// run shows the plan and, when that is wanted, carries it out.
func (c *cleaning) run(cmd *cobra.Command) error {
	sure := c.yes || c.confirm != ""
	if c.json {
		switch {
		case c.dryRun:
			c.query.Set("dryRun", "true")
		case !sure:
			return usagef("give --dry-run, --yes or --confirm HASH: with --json nobody is asked")
		}
		raw, err := c.post(cmd)
		if err != nil {
			return err
		}
		return c.printRaw(raw)
	}
	plan, err := c.plan(cmd)
	if err != nil {
		return err
	}
	if err := c.show(plan); err != nil || c.dryRun || plan.Plan.Orphans == 0 {
		return err
	}
	if c.confirm != "" && c.confirm != plan.Hash {
		return errors.New("nothing was deleted: the plan that was confirmed is another one")
	}
	if !sure {
		if !c.asks() {
			return usagef("nothing was deleted: give --yes, or --confirm %s, where nobody can be asked", plan.Hash)
		}
		if !c.ask(plan) {
			return errors.New("nothing was deleted")
		}
		c.confirm = plan.Hash // what was seen, and nothing else
	}
	return c.carryOut(cmd, plan)
}

// plan asks what would be deleted.
func (c *cleaning) plan(cmd *cobra.Command) (*cleanupPlan, error) {
	q := url.Values{"dryRun": {"true"}}
	for name, value := range c.query {
		q[name] = value
	}
	var plan cleanupPlan
	return &plan, c.call(cmd.Context(), http.MethodPost, c.path+q.Encode(), nil, &plan)
}

// show prints a plan: its files on the output, what they are of on the error stream.
func (c *cleaning) show(p *cleanupPlan) error {
	head := ""
	if len(p.Plan.First) > 0 {
		head = "TYPE SIZE MODIFIED PATH"
	}
	if err := table(c.out, head, func(row func(...any)) {
		for _, f := range p.Plan.First {
			row(f.Type, sizeText(f.Size), when(f.LastModified), pathText(f.Path))
		}
	}); err != nil {
		return err
	}
	if more := p.Plan.Orphans - uint64(len(p.Plan.First)); more > 0 {
		fmt.Fprintf(c.out, "and %s more\n", count(more))
	}
	fmt.Fprintf(c.err, "%s of %s files (%s) would be deleted; the plan is %s\n",
		count(p.Plan.Orphans), count(p.Plan.Files), sizeText(p.Plan.Size), p.Hash)
	if p.Plan.TooLarge {
		fmt.Fprintln(c.err, "That is more than half of the files, or no backup is known in the bucket: were all backups imported?")
	}
	return nil
}

// asks tells whether a person can answer a question.
func (c *cleaning) asks() bool {
	in, ok := c.in.(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}

// ask asks whether to go on.
func (c *cleaning) ask(p *cleanupPlan) bool {
	want := "yes"
	if p.Plan.TooLarge {
		want = "delete " + p.Hash[:6]
	}
	fmt.Fprintf(c.err, "Delete %s files? Type %q to go on: ", count(p.Plan.Orphans), want)
	answer, _ := bufio.NewReader(c.in).ReadString('\n') // what is cut short is no yes
	return strings.TrimSpace(answer) == want
}

// carryOut deletes, and tells what came of it.
func (c *cleaning) carryOut(cmd *cobra.Command, p *cleanupPlan) error {
	fmt.Fprintln(c.err, "Deleting; an interruption ends it after what is under way.")
	raw, err := c.post(cmd)
	if refused, ok := errors.AsType[*apiError](err); ok && refused.Code == "CLEANUP_TOO_LARGE" {
		return fmt.Errorf("%w; if that is right, give --confirm %s", err, p.Hash)
	}
	if err != nil {
		return err
	}
	var done struct{ Data cleanedUp }
	if err := json.Unmarshal(raw, &done); err != nil {
		return fmt.Errorf("the answer to the cleanup is not understood: %w", err)
	}
	fmt.Fprintf(c.out, "deleted %s files (%s)\n", count(done.Data.DeletedCount), bytesText(done.Data.FreedSpace))
	for _, e := range done.Data.Errors {
		fmt.Fprintf(c.err, "%s: %s (%s)\n", pathText(e.Path), oneLine(e.Message), e.Code)
	}
	if n := done.Data.FailedCount; n > 0 {
		return fmt.Errorf("%s files were not deleted", count(n))
	}
	return nil
}

// post cleans up. That takes as long as there are files.
func (c *cleaning) post(cmd *cobra.Command) ([]byte, error) {
	if c.confirm != "" {
		c.query.Set("confirm", c.confirm)
	}
	return c.patient(cmd.Context(), http.MethodPost, c.path+c.query.Encode())
}
