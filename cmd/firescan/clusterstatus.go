package main

import (
	"encoding/json"
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) clusterCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "cluster", Short: "See the cluster"})
	var dataDir string
	status := &cobra.Command{
		Use: "status", Short: "List the nodes", Args: takes(cobra.NoArgs),
		Long: "List the nodes. It takes the root token: FIRESCAN_ROOT_TOKEN, FIRESCAN_TOKEN, or the file in --data-dir.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var raw []byte
			if err := a.asRoot(dataDir, func(c *client) (err error) {
				raw, err = c.raw(cmd.Context(), http.MethodGet, "/api/v1/admin/cluster", nil)
				return err
			}); err != nil {
				return err
			}
			if a.json {
				return a.printRaw(raw)
			}
			var answer struct {
				Data struct {
					Nodes []struct {
						ID, Address, State, Version string
						Leader, Voter               bool
						AppliedIndex                uint64
						Shards                      int
					}
				}
			}
			if err := json.Unmarshal(raw, &answer); err != nil {
				return err
			}
			return table(a.out, "NODE ADDRESS STATE LEADER VOTER APPLIED SHARDS VERSION", func(row func(...any)) {
				for _, n := range answer.Data.Nodes {
					row(n.ID, orDash(n.Address), n.State, yes(n.Leader), yes(n.Voter), n.AppliedIndex, n.Shards, orDash(n.Version))
				}
			})
		},
	}
	cmd.AddCommand(dataDirFlag(a.reads(a.talks(status)), &dataDir))
	return cmd
}
