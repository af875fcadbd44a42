package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

// accountCommand adds the flags of an account of a storage provider, which no destination
// stores, to a command that sends a request for it.
func accountCommand[T any](
	a *app, cmd *cobra.Command,
	call func(ctx context.Context, c *apiclient.Client, in apiclient.BucketRequest, args []string) (*apiclient.Response[T], error),
	format func(*T) error,
) *cobra.Command {
	var in apiclient.BucketRequest
	var creds credentialFlags
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if in.Credentials, err = creds.read(a, in.Provider); err != nil {
			return err
		}
		c, err := a.orgClient()
		if err != nil {
			return err
		}
		r, err := call(cmd.Context(), c.api(), in, args)
		return show(a, r, err, format)
	}
	a.jsonFlag(a.orgFlags(cmd))
	f := cmd.Flags()
	typeFlag(cmd, &in.Provider)
	f.StringVar(&in.Region, "region", "", "region of the account or the bucket")
	f.StringVar(&in.Endpoint, "endpoint", "", "URL of an S3-compatible server that the nodes allow (serve --allow-endpoint)")
	creds.add(f)
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

// inBucket returns the call of a method for the bucket that is the first argument.
func inBucket[T any](method func(*apiclient.Client, context.Context, apiclient.BucketRequest) (*apiclient.Response[T], error)) func(
	context.Context, *apiclient.Client, apiclient.BucketRequest, []string) (*apiclient.Response[T], error) {
	return func(ctx context.Context, c *apiclient.Client, in apiclient.BucketRequest, args []string) (*apiclient.Response[T], error) {
		in.BucketName = args[0]
		return method(c, ctx, in)
	}
}

func bucketListCommand(a *app) *cobra.Command {
	return accountCommand(a, &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the buckets of an account", Args: positional(cobra.NoArgs),
		Example: `  firescan bucket list
  firescan bucket list --endpoint https://minio.example.com:9000
  firescan bucket list --type gcs --service-account-file sa.json --json | jq -r '.data.buckets[].name'`,
	}, func(ctx context.Context, c *apiclient.Client, in apiclient.BucketRequest, _ []string) (*apiclient.Response[apiclient.ConnectedReply], error) {
		return c.Connect(ctx, apiclient.ConnectRequest{Provider: in.Provider, Region: in.Region, Endpoint: in.Endpoint, Credentials: in.Credentials})
	}, func(all *apiclient.ConnectedReply) error {
		return table(a.out, "NAME REGION CREATED", func(row func(...any)) {
			for _, b := range all.Data.Buckets {
				row(pathText(b.Name), orDash(b.Region), when(b.CreatedAt))
			}
		})
	})
}

// printMessage prints the message of a response.
func (a *app) printMessage(message string) error {
	_, err := fmt.Fprintln(a.out, oneLine(message))
	return err
}

func bucketCreateCommand(a *app) *cobra.Command {
	return accountCommand(a, &cobra.Command{
		Use: "create BUCKET", Short: "Create a bucket", Args: positional(cobra.ExactArgs(1)),
		Example: `  firescan bucket create acme-backups --region eu-central-1`,
	}, inBucket((*apiclient.Client).CreateBucket), func(r *apiclient.BucketCreatedReply) error { return a.printMessage(r.Message) })
}

func bucketVerifyCommand(a *app) *cobra.Command {
	return accountCommand(a, &cobra.Command{
		Use: "verify BUCKET", Short: "Check what the credentials permit in a bucket", Args: positional(cobra.ExactArgs(1)),
		Long: `Check what the credentials permit in a bucket. A small object is written and deleted.`,
		Example: `  firescan bucket verify acme-backups
  firescan bucket verify acme-backups --json | jq .data.permissions`,
	}, inBucket((*apiclient.Client).VerifyBucket), func(r *apiclient.BucketVerifiedReply) error {
		p := r.Data.Permissions
		err := table(a.out, "READ WRITE DELETE", func(row func(...any)) { row(yes(p.Read), yes(p.Write), yes(p.Delete)) })
		a.printRefusals(r.Data.Checks)
		return err
	})
}

func bucketFoldersCommand(a *app) *cobra.Command {
	return accountCommand(a, &cobra.Command{
		Use: "folders BUCKET", Short: "List the folders of a bucket, at all levels", Args: positional(cobra.ExactArgs(1)),
		Example: `  firescan bucket folders acme-backups`,
	}, inBucket((*apiclient.Client).ListFolders), func(list *apiclient.FoldersReply) error {
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
	return accountCommand(a, &cobra.Command{
		Use: "create-folder BUCKET FOLDER", Short: "Create a folder in a bucket: an empty object whose key ends in a slash", Args: positional(cobra.ExactArgs(2)),
		Example: `  firescan bucket create-folder acme-backups backups/production`,
	}, func(ctx context.Context, c *apiclient.Client, in apiclient.BucketRequest, args []string) (*apiclient.Response[apiclient.FolderCreatedReply], error) {
		return c.CreateFolder(ctx, apiclient.FolderRequest{
			Provider: in.Provider, Region: in.Region, Endpoint: in.Endpoint, Credentials: in.Credentials, BucketName: args[0], FolderName: args[1],
		})
	}, func(r *apiclient.FolderCreatedReply) error { return a.printMessage(r.Message) })
}
