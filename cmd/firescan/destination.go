package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// destination is a storage destination as the API shows it.
type destination struct {
	ID, Name, Type, Bucket, Path, Region, Endpoint string
	Verified                                       bool
	Credentials                                    map[string]string
	CreatedAt, UpdatedAt                           *time.Time
}

func (a *app) destinationCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "destination", Aliases: []string{"dest"}, Short: "Add, list, show, verify, update, migrate and remove storage destinations",
		Example: "  firescan destination list",
	})
	cmd.AddCommand(a.destinationAdd(), a.destinationList(), a.destinationShow(), a.destinationVerify(), a.destinationUpdate(),
		a.destinationMigrate(), a.destinationRemove())
	return cmd
}

// show calls the API and prints the answer: as it is with --json, else as out does.
func (a *app) show(ctx context.Context, c *client, method, path string, body any, out func(*destination) error) error {
	return showData(ctx, a, c, method, path, body, func(d destination) error { return out(&d) })
}

// showData calls the API and prints the answer: as it is with --json, else its data
// as out does.
func showData[T any](ctx context.Context, a *app, c *client, method, path string, body any, out func(T) error) error {
	raw, err := c.raw(ctx, method, path, body)
	if err != nil {
		return err
	}
	return printData(a, raw, out)
}

// printData prints an answer: as it is with --json, else its data as out does.
func printData[T any](a *app, raw []byte, out func(T) error) error {
	if a.json {
		return a.printRaw(raw)
	}
	var answer struct{ Data T }
	if err := json.Unmarshal(raw, &answer); err != nil {
		return notUnderstood(err)
	}
	return out(answer.Data)
}

func notUnderstood(err error) error {
	return fmt.Errorf("an answer that is not understood (is this a firescan node?): %w", err)
}

func (a *app) destinationList() *cobra.Command {
	return a.reads(a.ofOrg(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the destinations", Args: takes(cobra.NoArgs),
		Example: `  firescan destination list
  firescan destination list --json | jq -r '.data[].id'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			return showData(cmd.Context(), a, c, http.MethodGet, "/api/v1/storage/destinations", nil, func(all []destination) error {
				return table(a.out, "ID NAME TYPE BUCKET PATH VERIFIED", func(row func(...any)) {
					for _, d := range all {
						row(d.ID, pathText(d.Name), d.Type, d.Bucket, pathText(orDash(d.Path)), yes(d.Verified))
					}
				})
			})
		},
	}))
}

func (a *app) destinationShow() *cobra.Command {
	return a.reads(a.ofOrg(&cobra.Command{
		Use: "show DESTINATION", Short: "Show a destination, named by id or name", Args: takes(cobra.ExactArgs(1)),
		Example: `  firescan destination show production`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.destination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(cmd.Context(), c, http.MethodGet, destinationPath(id, ""), nil, func(d *destination) error {
				return table(a.out, "", func(row func(...any)) {
					row("id", d.ID)
					row("name", pathText(d.Name))
					row("type", d.Type)
					row("bucket", d.Bucket)
					row("path", pathText(orDash(d.Path)))
					row("region", orDash(d.Region))
					row("endpoint", orDash(d.Endpoint))
					row("access key", orDash(d.Credentials["accessKeyId"]))
					row("verified", yes(d.Verified))
					row("created", when(d.CreatedAt))
					row("updated", when(d.UpdatedAt))
				})
			})
		},
	}))
}

func (a *app) destinationVerify() *cobra.Command {
	return a.reads(a.ofOrg(&cobra.Command{
		Use: "verify DESTINATION", Short: "Try whether a destination can be reached, read and written", Args: takes(cobra.ExactArgs(1)),
		Long: `Try whether a destination can be reached, read and written. From then on the node syncs
it unasked (serve --sync-every). It fails when the destination cannot be read.`,
		Example: `  firescan destination verify production`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.destination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.verify(cmd.Context(), c, id)
		},
	}))
}

// verdict is the answer of a verification.
type verdict struct {
	Verified    bool
	Permissions struct{ Read, Write, Delete bool }
}

// verify tries a destination and prints what it can do. It fails when it cannot be read.
func (a *app) verify(ctx context.Context, c *client, id string) error {
	raw, err := c.raw(ctx, http.MethodPost, destinationPath(id, "/verify"), nil)
	if err != nil {
		return err
	}
	var answer struct{ Data verdict }
	if err := json.Unmarshal(raw, &answer); err != nil {
		return notUnderstood(err)
	}
	v := answer.Data
	if a.json {
		err = a.printRaw(raw)
	} else {
		err = table(a.out, "VERIFIED READ WRITE DELETE", func(row func(...any)) {
			row(yes(v.Verified), yes(v.Permissions.Read), yes(v.Permissions.Write), yes(v.Permissions.Delete))
		})
	}
	if err == nil && !v.Verified {
		err = errors.New("the bucket was reached, but the credentials may not list it")
	}
	return err
}

func (a *app) destinationRemove() *cobra.Command {
	return a.ofOrg(&cobra.Command{
		Use: "remove DESTINATION", Aliases: []string{"rm"}, Short: "Remove a destination; its files and backups stay", Args: takes(cobra.ExactArgs(1)),
		Example: `  firescan destination remove archive`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.destination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.call(cmd.Context(), http.MethodDelete, destinationPath(id, ""), nil, nil)
		},
	})
}

// destination makes a client and finds the id of a destination that was named by its
// id or its name.
func (a *app) destination(ctx context.Context, ref string) (*client, string, error) {
	c, err := a.client()
	if err != nil {
		return nil, "", err
	}
	var all []destination
	if err := c.call(ctx, http.MethodGet, "/api/v1/storage/destinations", nil, &all); err != nil {
		return nil, "", err
	}
	var named []string
	for _, d := range all {
		if d.ID == ref {
			return c, ref, nil
		}
		if d.Name == ref {
			named = append(named, d.ID)
		}
	}
	switch len(named) {
	case 1:
		return c, named[0], nil
	case 0:
		return nil, "", fmt.Errorf("no destination %q: `firescan destination list` shows those that exist", ref)
	}
	return nil, "", usagef("%d destinations are called %q: name it by its id (%s)", len(named), ref, strings.Join(named, ", "))
}
