package main

import (
	"context"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

// completeTimeout limits how long completion waits for a node: somebody has pressed a key.
const completeTimeout = 2 * time.Second

// completePage is how many of the newest syncs, and of the backups, are completed.
const completePage = 100

// A candidate is a possible argument, with a description.
type candidate struct{ value, description string }

// A lookup returns the possible values of an argument, given those before it.
type lookup func(ctx context.Context, a *app, cmd *cobra.Command, args []string) ([]candidate, error)

// lookups are those of the arguments that a command names in its Use.
func lookups() map[string]lookup {
	return map[string]lookup{
		"DESTINATION": findDestinations, "FROM": findDestinations, "TO": findDestinations,
		"SYNC": findSyncs, "BACKUP": findBackups, "TOKEN-ID": findTokens, "NODE": findNodes,
	}
}

// complete adds the completion of arguments and flags to a command and its subcommands.
func (a *app) complete(cmd *cobra.Command) {
	words := regexp.MustCompile(`[A-Z][A-Z-]*(\.\.\.)?`).FindAllString(cmd.Use, -1)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		i := len(args)
		if n := len(words); n > 0 && strings.HasSuffix(words[n-1], "...") {
			i = min(i, n-1)
		}
		if i >= len(words) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		look := lookups()[strings.TrimSuffix(words[i], "...")]
		if look == nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return a.candidates(cmd, args, prefix, look), cobra.ShellCompDirectiveNoFileComp
	}
	for _, name := range []string{"type", "role", "log-format", "log-level"} {
		if f := cmd.Flags().Lookup(name); f != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(choices(f.Usage), cobra.ShellCompDirectiveNoFileComp)) // the flag exists
		}
	}
	for _, sub := range cmd.Commands() {
		a.complete(sub)
	}
}

// choices returns the values that the description of a flag lists: "type: a, b or c".
func choices(usage string) []string {
	_, list, _ := strings.Cut(usage, ": ")
	return strings.Split(strings.ReplaceAll(list, " or ", ", "), ", ")
}

// candidates returns the matching values of a lookup. After a failure there are none, and
// nothing is printed, since a shell would take the text for values.
func (a *app) candidates(cmd *cobra.Command, args []string, prefix string, look lookup) (matching []cobra.Completion) {
	a.err = io.Discard
	if a.flagsFromEnv(cmd.Flags()) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	found, err := look(ctx, a, cmd, args)
	if err != nil {
		return nil
	}
	for _, f := range found {
		if strings.HasPrefix(f.value, prefix) && oneLine(f.value) == f.value {
			matching = append(matching, cobra.CompletionWithDesc(f.value, oneLine(f.description)))
		}
	}
	return matching
}

// findDestinations returns the names of destinations, and the ids where two have one name.
func findDestinations(ctx context.Context, a *app, _ *cobra.Command, _ []string) (found []candidate, err error) {
	c, err := a.orgClient()
	if err != nil {
		return nil, err
	}
	all, err := apiclient.Decode(c.api().ListDestinations(ctx, nil))
	if err != nil {
		return nil, err
	}
	uses := map[string]int{}
	for _, d := range all.Data {
		uses[d.Name]++
	}
	for _, d := range all.Data {
		name := d.Name
		if uses[name] > 1 {
			name = d.ID
		}
		found = append(found, candidate{name, string(d.Type) + " " + d.Bucket})
	}
	return found, nil
}

// findSyncs returns the syncs that can be canceled.
func findSyncs(ctx context.Context, a *app, _ *cobra.Command, _ []string) (found []candidate, err error) {
	c, err := a.orgClient()
	if err != nil {
		return nil, err
	}
	all, err := apiclient.Decode(c.api().ListSyncs(ctx, &apiclient.ListSyncsParams{Limit: completePage}))
	if err != nil {
		return nil, err
	}
	for _, s := range all.Data.Syncs {
		if s.FinishedAt.IsZero() {
			found = append(found, candidate{s.ID, string(s.Status)})
		}
	}
	return found, nil
}

// findBackups returns the first backups, by id, of the destination in the first argument.
func findBackups(ctx context.Context, a *app, _ *cobra.Command, args []string) (found []candidate, err error) {
	c, id, err := a.findDestination(ctx, args[0])
	if err != nil {
		return nil, err
	}
	page, err := apiclient.Decode(c.api().ListBackups(ctx, id, &apiclient.ListBackupsParams{Limit: completePage}))
	if err != nil {
		return nil, err
	}
	for _, b := range page.Data.Backups {
		found = append(found, candidate{b.ID, b.StoragePath})
	}
	return found, nil
}

func findTokens(ctx context.Context, a *app, cmd *cobra.Command, _ []string) (found []candidate, err error) {
	err = a.asRoot(cmd.Flag("data-dir").Value.String(), func(c *client) error {
		all, err := apiclient.Decode(c.api().ListTokens(ctx, nil))
		if err != nil {
			return err
		}
		for _, t := range all.Data {
			found = append(found, candidate{t.ID, strings.Join([]string{t.OrganizationID, string(t.Role), t.Name}, " ")})
		}
		return nil
	})
	return found, err
}

func findNodes(ctx context.Context, a *app, cmd *cobra.Command, _ []string) (found []candidate, err error) {
	err = a.asRoot(cmd.Flag("data-dir").Value.String(), func(c *client) error {
		all, err := apiclient.Decode(c.api().ClusterStatus(ctx))
		if err != nil {
			return err
		}
		for _, n := range all.Data.Nodes {
			found = append(found, candidate{n.ID, n.State})
		}
		return nil
	})
	return found, err
}
