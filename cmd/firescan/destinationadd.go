package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	apiclient "firescan/api/client"
)

func destinationAddCommand(a *app) *cobra.Command {
	var in apiclient.NewDestination
	var stemRule string
	var creds credentialFlags
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Add a destination and print its id", Args: positional(cobra.ExactArgs(1)),
		Long: `Add a destination and print its id. Secrets are never on the command line.

S3 and do-spaces use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --access-key-id and
--secret-access-key-file. Temporary credentials of S3 also have AWS_SESSION_TOKEN, or
--session-token-file; replace them before they expire, with destination update. gcs and firebase-storage use the JSON key of a service account:
--service-account-file, or --key-filename for a file in the organization's directory of the
nodes' --gcs-key-dir.`,
		Example: `  firescan destination add production --bucket acme-backups --region eu-central-1
  pass show s3 | firescan destination add archive --bucket old --access-key-id AKIA… --secret-access-key-file -
  eval "$(aws configure export-credentials --format env)" && firescan destination add trial --bucket acme-backups
  firescan destination add spaces --type do-spaces --bucket acme --region nyc3
  firescan destination add firebase --type firebase-storage --bucket acme.appspot.com --service-account-file sa.json`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			in.Name = args[0]
			if in.Bucket == "" {
				return usagef("no bucket: set --bucket")
			}
			if in.Credentials, err = creds.read(a, in.Type); err != nil {
				return err
			}
			c, err := a.orgClient()
			if err != nil {
				return err
			}
			in.StemRule = apiclient.StemRule(stemRule)
			r, err := c.api().CreateDestination(cmd.Context(), in)
			return show(a, r, err, func(d *apiclient.DestinationReply) error {
				fmt.Fprintln(a.out, d.Data.ID)
				return nil
			})
		},
	}
	a.jsonFlag(a.orgFlags(cmd))
	f := cmd.Flags()
	typeFlag(cmd, &in.Type)
	locationFlags(f, &in, &stemRule)
	creds.add(f)
	return cmd
}

// locationFlags adds the flags of where a destination keeps its files, and how they belong
// to backups.
func locationFlags(f *pflag.FlagSet, l *apiclient.NewDestination, stemRule *string) {
	f.StringVar(&l.Bucket, "bucket", "", "name of the bucket")
	f.StringVar(&l.Path, "path", "", "prefix of all keys in the bucket (default: the whole bucket)")
	f.StringVar(&l.Region, "region", "", "region of the bucket")
	f.StringVar(&l.Endpoint, "endpoint", "", "URL of an S3-compatible server that the nodes allow (serve --allow-endpoint)")
	f.StringVar(stemRule, "stem-rule", "", "files that belong to a backup without being named: firstDot (same key up to the first dot; default) or knownSuffix (same key without known suffixes)")
}

// credentialFlags name the sources of credentials.
type credentialFlags struct {
	keyID, secretFile, sessionFile      string
	accountFile, keyFilename, projectID string
}

func (c *credentialFlags) add(f *pflag.FlagSet) {
	f.StringVar(&c.keyID, "access-key-id", "", "id of the access key (default: AWS_ACCESS_KEY_ID)")
	f.StringVar(&c.secretFile, "secret-access-key-file", "", "file with the secret of the access key (- for standard input)")
	f.StringVar(&c.sessionFile, "session-token-file", "", "file with the session token of a temporary access key (default: AWS_SESSION_TOKEN, for the key of AWS_ACCESS_KEY_ID)")
	f.StringVar(&c.accountFile, "service-account-file", "", "file with the JSON key of a Google service account (- for standard input)")
	f.StringVar(&c.keyFilename, "key-filename", "", "name or path of a JSON key file in the organization's directory of the nodes' --gcs-key-dir")
	f.StringVar(&c.projectID, "project-id", "", "Google Cloud project (default: that of the service account)")
}

// read returns the credentials for a type of storage, as the API expects them.
func (c *credentialFlags) read(a *app, typ string) (given apiclient.Credentials, err error) {
	switch strings.ToLower(typ) {
	case "gcs", "firebase-storage":
		return c.readGoogle(a)
	case "s3", "do-spaces":
	default:
		return given, usagef("--type is %q: give S3, gcs, do-spaces or firebase-storage", typ)
	}
	secret, _ := a.getenv("AWS_SECRET_ACCESS_KEY")
	if c.secretFile == "-" && c.sessionFile == "-" {
		return given, usagef("--secret-access-key-file and --session-token-file cannot both be standard input")
	}
	if c.secretFile != "" {
		if secret, err = a.readSecret(c.secretFile); err != nil {
			return given, err
		}
	}
	envID, _ := a.getenv("AWS_ACCESS_KEY_ID")
	id := cmp.Or(c.keyID, envID)
	if id == "" || secret == "" {
		return given, usagef("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --access-key-id and --secret-access-key-file")
	}
	given.AccessKeyID, given.SecretAccessKey = id, secret
	switch {
	case c.sessionFile != "":
		if given.SessionToken, err = a.readSecret(c.sessionFile); err != nil {
			return given, err
		}
	case id == envID && strings.EqualFold(typ, "S3"): // it belongs to that key alone
		given.SessionToken, _ = a.getenv("AWS_SESSION_TOKEN")
	}
	return given, nil
}

func (c *credentialFlags) readGoogle(a *app) (given apiclient.Credentials, err error) {
	switch {
	case c.keyFilename != "" && c.accountFile == "":
		return apiclient.Credentials{KeyFilename: c.keyFilename, ProjectID: c.projectID}, nil
	case c.accountFile == "" || c.keyFilename != "":
		return given, usagef("no credentials: set either --service-account-file or --key-filename")
	}
	text, err := a.readSecret(c.accountFile)
	if err != nil {
		return given, err
	}
	project := c.projectID
	if project == "" {
		var account struct {
			ProjectID string `json:"project_id"`
		}
		if err := json.Unmarshal([]byte(text), &account); err != nil || account.ProjectID == "" {
			// The message must not quote the file, and the error of the decoder may.
			return given, usagef("%s has no project_id of a service account: set --project-id, or use another file", c.accountFile)
		}
		project = account.ProjectID
	}
	return apiclient.Credentials{ProjectID: project, Credentials: text}, nil
}
