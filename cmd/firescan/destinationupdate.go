package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	apiclient "firescan/api/client"
)

func destinationUpdateCommand(a *app) *cobra.Command {
	var (
		creds   credentialFlags
		fromEnv bool
	)
	cmd := &cobra.Command{
		Use: "update DESTINATION", Short: "Change the name, location or credentials of a destination", Args: positional(cobra.ExactArgs(1)),
		Long: `Change the properties that flags name. The id does not change. Verify the destination
again after a change of its location or credentials. --stem-rule knownSuffix makes files
orphans that are linked only because their key is the same up to the first dot: see
"by stem alone" in ` + "`firescan stats DESTINATION`" + ` before.

Credentials are replaced if one of their flags or --credentials-from-env is set; for flags
that are not set, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN apply as in
` + "`destination add`.",
		Example: `  firescan destination update production --credentials-from-env && firescan destination verify production
  firescan destination update production --name primary --path backups/prod-v2`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			f := cmd.Flags()
			change := apiclient.DestinationChange{
				Name: given(f, "name"), Bucket: given(f, "bucket"), Path: given(f, "path"), Region: given(f, "region"),
				Endpoint: given(f, "endpoint"), StemRule: (*apiclient.StemRule)(given(f, "stem-rule")),
			}
			if fromEnv || creds != (credentialFlags{}) {
				d, err := apiclient.Decode(c.api().GetDestination(cmd.Context(), id, nil))
				if err != nil {
					return err
				}
				read, err := creds.read(a, string(d.Data.Type))
				if err != nil {
					return err
				}
				change.Credentials = changeOf(read)
			}
			if change == (apiclient.DestinationChange{}) {
				return usagef("nothing to change: give at least one flag")
			}
			r, err := c.api().UpdateDestination(cmd.Context(), id, change)
			return show(a, r, err, func(*apiclient.DestinationChangedReply) error {
				_, err := fmt.Fprintln(a.out, "updated")
				return err
			})
		},
	}
	a.jsonFlag(a.orgFlags(cmd))
	f := cmd.Flags()
	f.String("name", "", "new name")
	locationFlags(f, new(apiclient.NewDestination), new(string))
	creds.add(f)
	f.BoolVar(&fromEnv, "credentials-from-env", false, "replace the access key with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN")
	return cmd
}

// given returns the value of a flag, nil if it is not set.
func given(f *pflag.FlagSet, name string) *string {
	if !f.Changed(name) {
		return nil
	}
	value, _ := f.GetString(name) // all are strings
	return &value
}

// changeOf returns the change to credentials. Fields that they do not have keep their values.
func changeOf(c apiclient.Credentials) *apiclient.CredentialsChange {
	set := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	change := &apiclient.CredentialsChange{
		AccessKeyID: set(c.AccessKeyID), SecretAccessKey: set(c.SecretAccessKey), SessionToken: set(c.SessionToken),
		KeyFilename: set(c.KeyFilename), ProjectID: set(c.ProjectID),
	}
	if c.Credentials != nil {
		change.Credentials = &c.Credentials
	}
	return change
}
