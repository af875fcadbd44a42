package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

// A syncRecord is a sync, with the JSON that the API sent.
type syncRecord struct {
	apiclient.Sync
	raw json.RawMessage
}

// UnmarshalJSON also keeps the raw record.
func (s *syncRecord) UnmarshalJSON(data []byte) error {
	s.raw = bytes.Clone(data)
	return json.Unmarshal(data, &s.Sync)
}

// progress returns the progress that the record contains.
func (s *syncRecord) progress() progress {
	return progress{
		SyncID: s.ID, DestinationID: s.DestinationID, Status: string(s.Status), FilesScanned: s.FilesScanned,
		OrphanFiles: s.OrphanFiles, FilesPerSecond: s.FilesPerSecond,
	}
}

// printSyncs prints syncs in the format of the API.
func (a *app) printSyncs(syncs []syncRecord) error {
	var envelope struct {
		Success bool `json:"success"`
		Data    struct {
			Syncs []json.RawMessage `json:"syncs"`
		} `json:"data"`
	}
	envelope.Success = true
	envelope.Data.Syncs = []json.RawMessage{}
	for _, s := range syncs {
		envelope.Data.Syncs = append(envelope.Data.Syncs, s.raw)
	}
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(envelope)
}

// ended reports whether the sync has a final state.
func (s *syncRecord) ended() bool { return !s.FinishedAt.IsZero() }

func syncCommand(a *app) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use: "sync [DESTINATION]", Short: "Scan one or all buckets", Args: positional(cobra.MaximumNArgs(1)),
		Long: `Scan the bucket of one or all destinations and print the ids of the syncs. If a sync of a
destination is already running, its id is printed.

With --watch, show progress, wait for the end, and fail if a sync fails. Ctrl-C stops the
watching, but not the sync.`,
		Example: `  firescan sync --watch production
  firescan sync
  firescan sync list production
  firescan sync cancel sync_01m86gqawnd9677dhgzggntypt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.optionalDestination(cmd, args)
			if err != nil {
				return err
			}
			if watch {
				return a.watchSync(cmd.Context(), c, id)
			}
			return a.startSync(cmd, c, id)
		},
	}
	a.jsonFlag(a.orgFlags(cmd))
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show progress and wait for the end")
	cmd.AddCommand(syncListCommand(a), syncCancelCommand(a))
	return cmd
}

// optionalDestination returns a client and the id of the destination in args, or "" for
// all destinations.
func (a *app) optionalDestination(cmd *cobra.Command, args []string) (*client, string, error) {
	if len(args) == 0 {
		c, err := a.orgClient()
		return c, "", err
	}
	return a.findDestination(cmd.Context(), args[0])
}

func (a *app) startSync(cmd *cobra.Command, c *client, id string) error {
	r, err := c.api().StartSync(cmd.Context(), &apiclient.StartSyncParams{DestinationID: id})
	return show(a, r, err, func(s *apiclient.SyncStartedReply) error {
		for _, id := range s.Data.SyncIds {
			fmt.Fprintln(a.out, id)
		}
		return nil
	})
}

func syncListCommand(a *app) *cobra.Command {
	var limit int64
	cmd := &cobra.Command{
		Use: "list [DESTINATION]", Aliases: []string{"ls"}, Short: "List syncs, newest first", Args: positional(cobra.MaximumNArgs(1)),
		Example: `  firescan sync list
  firescan sync list production --limit 1 --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.optionalDestination(cmd, args)
			if err != nil {
				return err
			}
			names := map[string]string{}
			if !a.json {
				if names, err = c.destinationNames(cmd.Context()); err != nil {
					return err
				}
			}
			r, err := c.api().ListSyncs(cmd.Context(), &apiclient.ListSyncsParams{DestinationID: id, Limit: limit})
			return show(a, r, err, func(l *apiclient.SyncsReply) error {
				return table(a.out, "SYNC DESTINATION STATUS STARTED FILES ORPHANS MISSING FILES/S ERROR", func(row func(...any)) {
					for _, s := range l.Data.Syncs {
						row(s.ID, pathText(cmp.Or(names[s.DestinationID], s.DestinationID)), s.Status, when(s.StartedAt), count(s.FilesScanned), count(s.OrphanFiles),
							count(s.MissingBackups), count(int64(s.FilesPerSecond)), pathText(orDash(s.Error)))
					}
				})
			})
		},
	}
	a.jsonFlag(a.orgFlags(cmd))
	cmd.Flags().Int64Var(&limit, "limit", 20, "maximum number of syncs, 1 to 1000")
	return cmd
}

func syncCancelCommand(a *app) *cobra.Command {
	return a.jsonFlag(a.orgFlags(&cobra.Command{
		Use: "cancel SYNC", Short: "Cancel a running sync and print its status", Args: positional(cobra.ExactArgs(1)),
		Example: `  firescan sync cancel sync_01m86gqawnd9677dhgzggntypt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.orgClient()
			if err != nil {
				return err
			}
			r, err := c.api().CancelSync(cmd.Context(), args[0])
			return show(a, r, err, func(s *apiclient.SyncReply) error {
				fmt.Fprintln(a.out, s.Data.Status)
				return nil
			})
		},
	}))
}
