package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

func destinationCommand(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "destination", Aliases: []string{"dest"}, Short: "Manage storage destinations",
		Example: "  firescan destination list",
	})
	cmd.AddCommand(destinationAddCommand(a), destinationListCommand(a), destinationShowCommand(a), destinationVerifyCommand(a), destinationUpdateCommand(a),
		destinationLinkedCommand(a), destinationMigrateCommand(a), destinationRemoveCommand(a))
	return cmd
}

func destinationListCommand(a *app) *cobra.Command {
	var deleted bool
	cmd := a.jsonFlag(a.orgFlags(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List destinations", Args: positional(cobra.NoArgs),
		Example: `  firescan destination list
  firescan destination list --deleted
  firescan destination list --json | jq -r '.data[].id'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.orgClient()
			if err != nil {
				return err
			}
			if deleted {
				return a.listDeleted(cmd.Context(), c)
			}
			r, err := c.api().ListDestinations(cmd.Context(), nil)
			return show(a, r, err, func(all *apiclient.DestinationsReply) error {
				return table(a.out, "ID NAME TYPE BUCKET PATH VERIFIED", func(row func(...any)) {
					for _, d := range all.Data {
						row(d.ID, pathText(d.Name), d.Type, d.Bucket, pathText(orDash(d.Path)), yes(d.Verified))
					}
				})
			})
		},
	}))
	cmd.Flags().BoolVar(&deleted, "deleted", false, "deleted destinations that backup records still name")
	return cmd
}

// listDeleted lists deleted destinations that records still name.
func (a *app) listDeleted(ctx context.Context, c *client) error {
	r, err := c.api().ListDestinations(ctx, &apiclient.ListDestinationsParams{Deleted: true})
	return show(a, r, err, func(all *apiclient.DestinationsReply) error {
		return table(a.out, "ID NAME TYPE BUCKET PATH DELETED BACKUPS", func(row func(...any)) {
			for _, d := range all.Data {
				row(d.ID, pathText(d.Name), d.Type, d.Bucket, pathText(orDash(d.Path)), when(d.DeletedAt), count(d.BackupsCount))
			}
		})
	})
}

func destinationShowCommand(a *app) *cobra.Command {
	return a.jsonFlag(a.orgFlags(&cobra.Command{
		Use: "show DESTINATION", Short: "Show a destination", Args: positional(cobra.ExactArgs(1)),
		Example: `  firescan destination show production`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, err := c.api().GetDestination(cmd.Context(), id, nil)
			return show(a, r, err, func(r *apiclient.DestinationReply) error {
				d := &r.Data
				return table(a.out, "", func(row func(...any)) {
					row("id", d.ID)
					row("name", pathText(d.Name))
					row("type", d.Type)
					row("bucket", d.Bucket)
					row("path", pathText(orDash(d.Path)))
					row("region", orDash(d.Region))
					row("endpoint", orDash(d.Endpoint))
					row("stem rule", orDash(string(d.StemRule)))
					row("access key", orDash(d.Credentials["accessKeyId"]))
					row("verified", yes(d.Verified))
					row("created", when(d.CreatedAt))
					row("updated", when(d.UpdatedAt))
				})
			})
		},
	}))
}

func destinationVerifyCommand(a *app) *cobra.Command {
	return a.jsonFlag(a.orgFlags(&cobra.Command{
		Use: "verify DESTINATION", Short: "Check that a destination can be reached, read and written", Args: positional(cobra.ExactArgs(1)),
		Long: `Check that a destination can be reached, read and written. Fails if it cannot be read.
Nodes sync verified destinations periodically (serve --sync-every).`,
		Example: `  firescan destination verify production`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.verify(cmd.Context(), c, id)
		},
	}))
}

// verify verifies a destination and prints its permissions. It fails if the destination
// cannot be read.
func (a *app) verify(ctx context.Context, c *client, id string) error {
	r, err := c.api().VerifyDestination(ctx, id)
	reply, err := read(a, r, err)
	if err != nil {
		return err
	}
	v := &reply.Data
	if !a.json {
		err = table(a.out, "VERIFIED READ WRITE DELETE", func(row func(...any)) {
			row(yes(v.Verified), yes(v.Permissions.Read), yes(v.Permissions.Write), yes(v.Permissions.Delete))
		})
		a.printRefusals(v.Checks)
		for _, u := range v.Unsettled {
			fmt.Fprintf(a.err, "nothing is deleted here: it is not known whether the bucket is that of destination %s: %s\n",
				cmp.Or(u.StorageID, "of another organization"), oneLine(u.Reason))
		}
	}
	if err == nil && !v.Verified {
		err = errors.New("the bucket exists, but the credentials have no permission to read it")
	}
	return err
}

// printRefusals prints the calls that the provider refused.
func (a *app) printRefusals(checks apiclient.Checks) {
	for _, check := range checks {
		if check.Allowed != nil && !*check.Allowed {
			fmt.Fprintf(a.err, "refused: %s (%s): %s\n", check.Permission, check.Call, oneLine(check.Reason))
		}
	}
}

func destinationRemoveCommand(a *app) *cobra.Command {
	var confirmed bool
	cmd := a.orgFlags(&cobra.Command{
		Use: "remove DESTINATION", Aliases: []string{"rm"}, Short: "Remove a destination, but not its files and backup records", Args: positional(cobra.ExactArgs(1)),
		Long: `Remove a destination, but not its files and backup records.

While backup records name the destination, they go on protecting their files, and records of it
can still be imported; list it with: firescan destination list --deleted. The command shows the
destination and how many records there are, and asks for confirmation.`,
		Example: `  firescan destination remove archive
  firescan destination remove archive --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := a.showRemoval(cmd.Context(), c, id); err != nil {
				return err
			}
			if err := a.confirm(question{text: "Remove the destination?", undone: "nothing was removed"}, confirmed); err != nil {
				return err
			}
			_, err = apiclient.Decode(c.api().DeleteDestination(cmd.Context(), id))
			return err
		},
	})
	yesFlag(cmd.Flags(), &confirmed, "remove")
	return cmd
}

// showRemoval shows a destination to remove, and what its removal leaves.
func (a *app) showRemoval(ctx context.Context, c *client, id string) error {
	r, err := apiclient.Decode(c.api().GetDestination(ctx, id, nil))
	if err != nil {
		return err
	}
	d := &r.Data
	if err := table(a.err, "ID NAME TYPE BUCKET PATH", func(row func(...any)) {
		row(d.ID, pathText(d.Name), d.Type, d.Bucket, pathText(orDash(d.Path)))
	}); err != nil {
		return err
	}
	linked, err := apiclient.Decode(c.api().LinkedResources(ctx, id, nil))
	if err != nil || linked.Data.BackupsCount == 0 {
		return err
	}
	files := "their files" // the index may be out of reach
	if stats, err := apiclient.Decode(c.api().FileStats(ctx, id, nil)); err == nil {
		files = count(stats.Data.LinkedFiles) + " files"
	}
	fmt.Fprintf(a.err, "%s backup records remain and protect %s in the bucket.\n", count(linked.Data.BackupsCount), files)
	return nil
}
