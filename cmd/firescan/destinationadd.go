package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func destinationAddCommand(a *app) *cobra.Command {
	var in struct {
		Name string `json:"name"`
		Type string `json:"type"`
		location
		Credentials map[string]string `json:"credentials"`
	}
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
			return show(cmd.Context(), a, c, http.MethodPost, destinationsPath, in, func(d destination) error {
				fmt.Fprintln(a.out, d.ID)
				return nil
			})
		},
	}
	a.jsonFlag(a.orgFlags(cmd))
	f := cmd.Flags()
	typeFlag(cmd, &in.Type)
	in.addFlags(f)
	creds.add(f)
	return cmd
}

// A location is where a destination keeps its files, and how they belong to backups.
type location struct {
	Bucket   string `json:"bucket"`
	Path     string `json:"path,omitempty"`
	Region   string `json:"region,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	StemRule string `json:"stemRule,omitempty"`
}

func (l *location) addFlags(f *pflag.FlagSet) {
	f.StringVar(&l.Bucket, "bucket", "", "name of the bucket")
	f.StringVar(&l.Path, "path", "", "prefix of all keys in the bucket (default: the whole bucket)")
	f.StringVar(&l.Region, "region", "", "region of the bucket")
	f.StringVar(&l.Endpoint, "endpoint", "", "URL of an S3-compatible server that the nodes allow (serve --allow-endpoint)")
	f.StringVar(&l.StemRule, "stem-rule", "", "files that belong to a backup without being named: firstDot (same key up to the first dot; default) or knownSuffix (same key without known suffixes)")
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
func (c *credentialFlags) read(a *app, typ string) (map[string]string, error) {
	switch strings.ToLower(typ) {
	case "gcs", "firebase-storage":
		return c.readGoogle(a)
	case "s3", "do-spaces":
	default:
		return nil, usagef("--type is %q: give S3, gcs, do-spaces or firebase-storage", typ)
	}
	secret, _ := a.getenv("AWS_SECRET_ACCESS_KEY")
	if c.secretFile == "-" && c.sessionFile == "-" {
		return nil, usagef("--secret-access-key-file and --session-token-file cannot both be standard input")
	}
	if c.secretFile != "" {
		var err error
		if secret, err = a.readSecret(c.secretFile); err != nil {
			return nil, err
		}
	}
	envID, _ := a.getenv("AWS_ACCESS_KEY_ID")
	id := cmp.Or(c.keyID, envID)
	if id == "" || secret == "" {
		return nil, usagef("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --access-key-id and --secret-access-key-file")
	}
	given := map[string]string{"accessKeyId": id, "secretAccessKey": secret}
	var token string
	switch {
	case c.sessionFile != "":
		var err error
		if token, err = a.readSecret(c.sessionFile); err != nil {
			return nil, err
		}
	case id == envID && strings.EqualFold(typ, "S3"): // it belongs to that key alone
		token, _ = a.getenv("AWS_SESSION_TOKEN")
	}
	if token != "" {
		given["sessionToken"] = token
	}
	return given, nil
}

func (c *credentialFlags) readGoogle(a *app) (map[string]string, error) {
	switch {
	case c.keyFilename != "" && c.accountFile == "":
		given := map[string]string{"keyFilename": c.keyFilename}
		if c.projectID != "" {
			given["projectId"] = c.projectID
		}
		return given, nil
	case c.accountFile == "" || c.keyFilename != "":
		return nil, usagef("no credentials: set either --service-account-file or --key-filename")
	}
	text, err := a.readSecret(c.accountFile)
	if err != nil {
		return nil, err
	}
	project := c.projectID
	if project == "" {
		var account struct {
			ProjectID string `json:"project_id"`
		}
		if err := json.Unmarshal([]byte(text), &account); err != nil || account.ProjectID == "" {
			// The message must not quote the file, and the error of the decoder may.
			return nil, usagef("%s has no project_id of a service account: set --project-id, or use another file", c.accountFile)
		}
		project = account.ProjectID
	}
	return map[string]string{"projectId": project, "credentials": text}, nil
}
