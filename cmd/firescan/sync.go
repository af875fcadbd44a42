package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// A syncRecord is a sync in the response of the API.
type syncRecord struct {
	ID, DestinationID, Status                 string
	StartedAt, FinishedAt                     *time.Time
	FilesScanned, OrphanFiles, MissingBackups uint64
	BytesScanned                              uint64
	FilesPerSecond                            float64
	Error                                     string

	raw json.RawMessage
}

// UnmarshalJSON also keeps the raw record.
func (s *syncRecord) UnmarshalJSON(data []byte) error {
	type fields syncRecord
	var f fields
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	*s = syncRecord(f)
	s.raw = bytes.Clone(data)
	return nil
}

// progress returns the progress that the record contains.
func (s *syncRecord) progress() progress {
	return progress{
		SyncID: s.ID, DestinationID: s.DestinationID, Status: s.Status, FilesScanned: s.FilesScanned,
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
func (s *syncRecord) ended() bool { return s.FinishedAt != nil && !s.FinishedAt.IsZero() }

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

func syncPath(id string) string {
	if id == "" {
		return "/api/v1/storage/sync"
	}
	return "/api/v1/storage/sync?destinationId=" + url.QueryEscape(id)
}

type startedSyncs struct{ SyncIDs []string }

func (a *app) startSync(cmd *cobra.Command, c *client, id string) error {
	return show(cmd.Context(), a, c, http.MethodPost, syncPath(id), nil, func(s startedSyncs) error {
		for _, id := range s.SyncIDs {
			fmt.Fprintln(a.out, id)
		}
		return nil
	})
}

func syncListCommand(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list [DESTINATION]", Aliases: []string{"ls"}, Short: "List syncs, newest first", Args: positional(cobra.MaximumNArgs(1)),
		Example: `  firescan sync list
  firescan sync list production --limit 1 --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.optionalDestination(cmd, args)
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			if id != "" {
				q.Set("destinationId", id)
			}
			names := map[string]string{}
			if !a.json {
				var all []destination
				if err := c.call(cmd.Context(), http.MethodGet, destinationsPath, nil, &all); err != nil {
					return err
				}
				for _, d := range all {
					names[d.ID] = d.Name
				}
			}
			type list struct{ Syncs []syncRecord }
			return show(cmd.Context(), a, c, http.MethodGet, "/api/v1/storage/syncs?"+q.Encode(), nil, func(l list) error {
				return table(a.out, "SYNC DESTINATION STATUS STARTED FILES ORPHANS MISSING FILES/S ERROR", func(row func(...any)) {
					for _, s := range l.Syncs {
						row(s.ID, pathText(cmp.Or(names[s.DestinationID], s.DestinationID)), s.Status, when(s.StartedAt), count(s.FilesScanned), count(s.OrphanFiles),
							count(s.MissingBackups), count(uint64(s.FilesPerSecond)), pathText(orDash(s.Error)))
					}
				})
			})
		},
	}
	a.jsonFlag(a.orgFlags(cmd))
	cmd.Flags().IntVar(&limit, "limit", 20, "maximum number of syncs, 1 to 1000")
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
			path := "/api/v1/storage/syncs/" + url.PathEscape(args[0])
			return show(cmd.Context(), a, c, http.MethodDelete, path, nil, func(s syncRecord) error {
				fmt.Fprintln(a.out, s.Status)
				return nil
			})
		},
	}))
}
