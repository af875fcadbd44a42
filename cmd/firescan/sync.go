package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// syncRecord is a sync as the API shows it.
type syncRecord struct {
	ID, DestinationID, Status                 string
	StartedAt, FinishedAt                     *time.Time
	FilesScanned, OrphanFiles, MissingBackups uint64
	BytesScanned                              uint64
	FilesPerSecond                            float64
	Error                                     string

	raw json.RawMessage
}

// UnmarshalJSON keeps the record as it came, too.
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

// progress is what the record of a sync tells about how it goes.
func (s *syncRecord) progress() progress {
	return progress{
		SyncID: s.ID, DestinationID: s.DestinationID, Status: s.Status, FilesScanned: s.FilesScanned,
		OrphanFiles: s.OrphanFiles, FilesPerSecond: s.FilesPerSecond,
	}
}

// printSyncs prints syncs as the API lists them.
func (a *app) printSyncs(syncs []syncRecord) error {
	var answer struct {
		Success bool `json:"success"`
		Data    struct {
			Syncs []json.RawMessage `json:"syncs"`
		} `json:"data"`
	}
	answer.Success = true
	answer.Data.Syncs = []json.RawMessage{}
	for _, s := range syncs {
		answer.Data.Syncs = append(answer.Data.Syncs, s.raw)
	}
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(answer)
}

// ended tells whether nothing will change about the sync any more.
func (s *syncRecord) ended() bool { return s.FinishedAt != nil && !s.FinishedAt.IsZero() }

func (a *app) syncCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use: "sync [DESTINATION]", Short: "List a bucket anew, or all of them", Args: takes(cobra.MaximumNArgs(1)),
		Long: `List a bucket anew, or all of them, and print the ids of the syncs. A sync that runs
already is joined.

With --watch it shows the progress, waits for the end and fails when a sync did. Ctrl-C
ends the watching, not the sync.`,
		Example: `  firescan sync --watch production
  firescan sync
  firescan sync list production
  firescan sync cancel sync_01m86gqawnd9677dhgzggntypt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.syncTarget(cmd, args)
			if err != nil {
				return err
			}
			if watch {
				return a.syncAndWatch(cmd.Context(), c, id)
			}
			return a.startSync(cmd, c, id)
		},
	}
	a.reads(a.ofOrg(cmd))
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show the progress and wait for the end")
	cmd.AddCommand(a.syncListCommand(), a.syncCancelCommand())
	return cmd
}

// syncTarget is the destination that the command names; none is all of them.
func (a *app) syncTarget(cmd *cobra.Command, args []string) (*client, string, error) {
	if len(args) == 0 {
		c, err := a.client()
		return c, "", err
	}
	return a.destination(cmd.Context(), args[0])
}

func syncPath(id string) string {
	if id == "" {
		return "/api/v1/storage/sync"
	}
	return "/api/v1/storage/sync?destinationId=" + url.QueryEscape(id)
}

type startedSyncs struct{ SyncIDs []string }

func (a *app) startSync(cmd *cobra.Command, c *client, id string) error {
	return showData(cmd.Context(), a, c, http.MethodPost, syncPath(id), nil, func(s startedSyncs) error {
		for _, id := range s.SyncIDs {
			fmt.Fprintln(a.out, id)
		}
		return nil
	})
}

func (a *app) syncListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list [DESTINATION]", Aliases: []string{"ls"}, Short: "List syncs, newest first", Args: takes(cobra.MaximumNArgs(1)),
		Example: `  firescan sync list
  firescan sync list production --limit 1 --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.syncTarget(cmd, args)
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			if id != "" {
				q.Set("destinationId", id)
			}
			type list struct{ Syncs []syncRecord }
			return showData(cmd.Context(), a, c, http.MethodGet, "/api/v1/storage/syncs?"+q.Encode(), nil, func(l list) error {
				return table(a.out, "SYNC DESTINATION STATUS STARTED FILES ORPHANS MISSING FILES/S ERROR", func(row func(...any)) {
					for _, s := range l.Syncs {
						row(s.ID, s.DestinationID, s.Status, when(s.StartedAt), count(s.FilesScanned), count(s.OrphanFiles),
							count(s.MissingBackups), count(uint64(s.FilesPerSecond)), pathText(orDash(s.Error)))
					}
				})
			})
		},
	}
	a.reads(a.ofOrg(cmd))
	cmd.Flags().IntVar(&limit, "limit", 20, "most syncs to list, up to 1000")
	return cmd
}

func (a *app) syncCancelCommand() *cobra.Command {
	return a.reads(a.ofOrg(&cobra.Command{
		Use: "cancel SYNC", Short: "End a running sync and print its status", Args: takes(cobra.ExactArgs(1)),
		Example: `  firescan sync cancel sync_01m86gqawnd9677dhgzggntypt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			path := "/api/v1/storage/syncs/" + url.PathEscape(args[0])
			return showData(cmd.Context(), a, c, http.MethodDelete, path, nil, func(s syncRecord) error {
				fmt.Fprintln(a.out, s.Status)
				return nil
			})
		},
	}))
}
