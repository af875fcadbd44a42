package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// An account is an account of a storage provider that no destination stores.
type account struct {
	typ, region, endpoint string
	creds                 credentialFlags
}

// request returns the body of a request for the account, with more fields.
func (c *account) request(a *app, more map[string]string) (map[string]any, error) {
	creds, err := c.creds.read(a, c.typ)
	if err != nil {
		return nil, err
	}
	body := map[string]any{"provider": c.typ, "region": c.region, "endpoint": c.endpoint, "credentials": creds}
	for name, value := range more {
		body[name] = value
	}
	return body, nil
}

// accountCommand adds the flags of an account to a command that posts a request for it.
func (a *app) accountCommand(cmd *cobra.Command, path string, fields func(args []string) map[string]string, format func(raw []byte) error) *cobra.Command {
	var acc account
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := acc.request(a, fields(args))
		if err != nil {
			return err
		}
		c, err := a.orgClient()
		if err != nil {
			return err
		}
		raw, err := c.raw(cmd.Context(), http.MethodPost, path, body)
		if err != nil {
			return err
		}
		if a.json {
			return a.printRaw(raw)
		}
		return format(raw)
	}
	a.jsonFlag(a.orgFlags(cmd))
	f := cmd.Flags()
	typeFlag(cmd, &acc.typ)
	f.StringVar(&acc.region, "region", "", "region of the account or the bucket")
	f.StringVar(&acc.endpoint, "endpoint", "", "URL of an S3-compatible server that the nodes allow (serve --allow-endpoint)")
	acc.creds.add(f)
	return cmd
}

// typeFlag adds --type, the type of storage.
func typeFlag(cmd *cobra.Command, typ *string) {
	cmd.Flags().StringVar(typ, "type", "S3", "type of storage: S3, gcs, do-spaces or firebase-storage")
}

func bucketCommand(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "bucket", Short: "List, create and check buckets with credentials that are not stored",
		Long: `List, create and check buckets with credentials that are not stored: those of the flags or of
the environment, as in ` + "`firescan destination add`.",
		Example: "  firescan bucket list --region eu-central-1",
	})
	cmd.AddCommand(bucketListCommand(a), bucketCreateCommand(a), bucketVerifyCommand(a), bucketFoldersCommand(a), bucketCreateFolderCommand(a))
	return cmd
}

// inBucket returns the fields of requests whose first argument is a bucket.
func inBucket(args []string) map[string]string { return map[string]string{"bucketName": args[0]} }

func bucketListCommand(a *app) *cobra.Command {
	type buckets struct {
		Buckets []struct {
			Name, Region string
			CreatedAt    *time.Time
		}
	}
	return a.accountCommand(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the buckets of an account", Args: positional(cobra.NoArgs),
		Example: `  firescan bucket list
  firescan bucket list --endpoint https://minio.example.com:9000
  firescan bucket list --type gcs --service-account-file sa.json --json | jq -r '.data.buckets[].name'`,
	}, "/api/v1/storage/connect", func([]string) map[string]string { return nil }, func(raw []byte) error {
		return printData(a, raw, func(all buckets) error {
			return table(a.out, "NAME REGION CREATED", func(row func(...any)) {
				for _, b := range all.Buckets {
					row(pathText(b.Name), orDash(b.Region), when(b.CreatedAt))
				}
			})
		})
	})
}

// printMessage prints the message of a response.
func (a *app) printMessage(raw []byte) error {
	var envelope struct{ Message string }
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return unexpectedResponse(err)
	}
	_, err := fmt.Fprintln(a.out, oneLine(envelope.Message))
	return err
}

func bucketCreateCommand(a *app) *cobra.Command {
	return a.accountCommand(&cobra.Command{
		Use: "create BUCKET", Short: "Create a bucket", Args: positional(cobra.ExactArgs(1)),
		Example: `  firescan bucket create acme-backups --region eu-central-1`,
	}, "/api/v1/storage/buckets/create", inBucket, a.printMessage)
}

func bucketVerifyCommand(a *app) *cobra.Command {
	return a.accountCommand(&cobra.Command{
		Use: "verify BUCKET", Short: "Check what the credentials permit in a bucket", Args: positional(cobra.ExactArgs(1)),
		Long: `Check what the credentials permit in a bucket. A small object is written and deleted.`,
		Example: `  firescan bucket verify acme-backups
  firescan bucket verify acme-backups --json | jq .data.permissions`,
	}, "/api/v1/storage/buckets/verify", inBucket, func(raw []byte) error {
		return printData(a, raw, func(v verification) error {
			err := table(a.out, "READ WRITE DELETE", func(row func(...any)) {
				row(yes(v.Permissions.Read), yes(v.Permissions.Write), yes(v.Permissions.Delete))
			})
			a.printRefusals(&v)
			return err
		})
	})
}

func bucketFoldersCommand(a *app) *cobra.Command {
	return a.accountCommand(&cobra.Command{
		Use: "folders BUCKET", Short: "List the folders of a bucket, at all levels", Args: positional(cobra.ExactArgs(1)),
		Example: `  firescan bucket folders acme-backups`,
	}, "/api/v1/storage/buckets/folders", inBucket, func(raw []byte) error {
		var list struct {
			Data struct{ Folders []string }
			Meta struct{ Truncated bool }
		}
		if err := json.Unmarshal(raw, &list); err != nil {
			return unexpectedResponse(err)
		}
		for _, folder := range list.Data.Folders {
			fmt.Fprintln(a.out, pathText(folder))
		}
		if list.Meta.Truncated {
			fmt.Fprintln(a.err, "The list is incomplete: the bucket has more folders, or deeper ones.")
		}
		return nil
	})
}

func bucketCreateFolderCommand(a *app) *cobra.Command {
	return a.accountCommand(&cobra.Command{
		Use: "create-folder BUCKET FOLDER", Short: "Create a folder in a bucket: an empty object whose key ends in a slash", Args: positional(cobra.ExactArgs(2)),
		Example: `  firescan bucket create-folder acme-backups backups/production`,
	}, "/api/v1/storage/buckets/folders/create", func(args []string) map[string]string {
		return map[string]string{"bucketName": args[0], "folderName": args[1]}
	}, a.printMessage)
}
