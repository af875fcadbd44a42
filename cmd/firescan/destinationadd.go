package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) destinationAdd() *cobra.Command {
	var in struct {
		Name string `json:"name"`
		Type string `json:"type"`
		place
		Credentials map[string]string `json:"credentials"`
	}
	var with credentialFlags
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Add a destination and print its id", Args: takes(cobra.ExactArgs(1)),
		Long: `Add a destination and print its id. No secret stands on the command line.

S3 and do-spaces take AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment, or
--access-key-id and --secret-access-key-file. gcs and firebase-storage take a service
account's JSON from --service-account-file, or from a file that lies in the nodes'
--gcs-key-dir and is named by --key-filename.`,
		Example: `  firescan destination add production --bucket acme-backups --region eu-central-1
  pass show s3 | firescan destination add archive --bucket old --access-key-id AKIA… --secret-access-key-file -
  firescan destination add spaces --type do-spaces --bucket acme --region nyc3
  firescan destination add firebase --type firebase-storage --bucket acme.appspot.com --service-account-file sa.json`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			in.Name = args[0]
			if in.Bucket == "" {
				return usagef("no bucket: give --bucket")
			}
			if in.Credentials, err = with.credentials(a, in.Type); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			return a.show(cmd.Context(), c, http.MethodPost, "/api/v1/storage/destinations", in, func(d *destination) error {
				fmt.Fprintln(a.out, d.ID)
				return nil
			})
		},
	}
	a.reads(a.ofOrg(cmd))
	f := cmd.Flags()
	f.StringVar(&in.Type, "type", "S3", "kind of storage: S3, gcs, do-spaces or firebase-storage")
	in.flags(f)
	with.flags(f)
	return cmd
}

// place is where files are.
type place struct {
	Bucket   string `json:"bucket"`
	Path     string `json:"path,omitempty"`
	Region   string `json:"region,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
}

func (p *place) flags(f *pflag.FlagSet) {
	f.StringVar(&p.Bucket, "bucket", "", "bucket")
	f.StringVar(&p.Path, "path", "", "base folder in the bucket; all of it by default")
	f.StringVar(&p.Region, "region", "", "region of the bucket")
	f.StringVar(&p.Endpoint, "endpoint", "", "URL of a server of one's own (the node must allow it: serve --allow-endpoint)")
}

// credentialFlags say where credentials are to be had.
type credentialFlags struct {
	keyID, secretFile                   string
	accountFile, keyFilename, projectID string
}

func (w *credentialFlags) flags(f *pflag.FlagSet) {
	f.StringVar(&w.keyID, "access-key-id", "", "id of the access key")
	f.StringVar(&w.secretFile, "secret-access-key-file", "", "file with the secret of the access key, - for standard input")
	f.StringVar(&w.accountFile, "service-account-file", "", "JSON file of a Google service account, - for standard input")
	f.StringVar(&w.keyFilename, "key-filename", "", "name of a service account's file in the nodes' --gcs-key-dir")
	f.StringVar(&w.projectID, "project-id", "", "Google project; by default the service account's")
}

// credentials are those of a type of storage.
func (w *credentialFlags) credentials(a *app, typ string) (map[string]string, error) {
	switch strings.ToLower(typ) {
	case "gcs", "firebase-storage":
		return w.ofGoogle(a)
	case "s3", "do-spaces":
	default:
		return nil, usagef("--type is %q: give S3, gcs, do-spaces or firebase-storage", typ)
	}
	secret, _ := a.getenv("AWS_SECRET_ACCESS_KEY")
	if w.secretFile != "" {
		var err error
		if secret, err = a.secretFrom(w.secretFile); err != nil {
			return nil, err
		}
	}
	id := w.keyID
	if id == "" {
		id, _ = a.getenv("AWS_ACCESS_KEY_ID")
	}
	if id == "" || secret == "" {
		return nil, usagef("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give --access-key-id and --secret-access-key-file")
	}
	return map[string]string{"accessKeyId": id, "secretAccessKey": secret}, nil
}

func (w *credentialFlags) ofGoogle(a *app) (map[string]string, error) {
	switch {
	case w.keyFilename != "" && w.accountFile == "":
		given := map[string]string{"keyFilename": w.keyFilename}
		if w.projectID != "" {
			given["projectId"] = w.projectID
		}
		return given, nil
	case w.accountFile == "" || w.keyFilename != "":
		return nil, usagef("no credentials: give --service-account-file or --key-filename")
	}
	text, err := a.secretFrom(w.accountFile)
	if err != nil {
		return nil, err
	}
	project := w.projectID
	if project == "" {
		var account struct {
			ProjectID string `json:"project_id"`
		}
		if err := json.Unmarshal([]byte(text), &account); err != nil || account.ProjectID == "" {
			// Neither the text nor the decoder's error, which may quote it.
			return nil, usagef("%s is no service account's JSON with a project_id: give --project-id, or another file", w.accountFile)
		}
		project = account.ProjectID
	}
	return map[string]string{"projectId": project, "credentials": text}, nil
}
