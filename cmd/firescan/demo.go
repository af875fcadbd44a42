package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	apiclient "firescan/api/client"
	"firescan/bench/bucketserver"
	"firescan/catalog"
	"firescan/node"
)

const (
	demoOrg    = "demo"
	demoBucket = "demo-backups"
	demoNodes  = 3
	demoKey    = "AKIADEMODEMODEMODEMO"
	// demoLatency is the latency of a list request, several times that of S3, so that the
	// sync takes long enough to be watched.
	demoLatency = 200 * time.Millisecond
)

func demoCommand(a *app) *cobra.Command {
	var (
		keys    uint64
		addr    string
		once    bool
		streams int
	)
	cmd := &cobra.Command{
		Use: "demo", Short: "Run three nodes with a synthetic bucket and show what they do", Args: positional(cobra.NoArgs),
		Long: `Run three nodes and a synthetic bucket in one process: import backup records, sync with a
progress bar, show statistics, orphans and backups without a file, and serve until
interrupted. All data is removed at the end.`,
		Example: `  firescan demo
  firescan demo --keys 1000000 --once`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keys < 1 {
				return usagef("--keys is 0: give 1 or more")
			}
			d := &demo{app: a, files: keys, addr: addr, anyPort: !cmd.Flags().Changed("http-addr"), once: once, streams: streams}
			return d.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&keys, "keys", 100_000, "number of files in the bucket")
	f.StringVar(&addr, "http-addr", "127.0.0.1:8080", "host:port of the API of the first node; the default falls back to a free port")
	f.IntVar(&streams, "scan-streams", 16, "maximum number of concurrent list requests of each node")
	f.BoolVar(&once, "once", false, "exit after the demonstration")
	return cmd
}

// A demo is one run of the demonstration.
type demo struct {
	app     *app
	files   uint64
	addr    string
	anyPort bool
	once    bool
	streams int

	nodes   []*node.Node
	owner   *client
	service *client
}

func (d *demo) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "firescan-demo-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	keys, err := bucketserver.NewKeys(bucketserver.Tree, d.files)
	if err != nil {
		return err
	}
	bucket := bucketserver.New(bucketserver.Options{Keys: keys, Bucket: demoBucket, AccessKey: demoKey, Latency: demoLatency})
	endpoint, err := bucket.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bucket.Close()) }()

	root := catalog.NewToken()
	defer func() {
		for _, n := range d.nodes {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := d.open(dir, endpoint, root); err != nil { //nolint:contextcheck // requests bring contexts of their own
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	g, running := errgroup.WithContext(running)
	for _, n := range d.nodes {
		g.Go(func() error { return n.Run(running) })
	}
	g.Go(func() error {
		defer stop()
		if err := d.show(running, keys, endpoint, root); err != nil {
			return err
		}
		if !d.once {
			<-running.Done()
		}
		return nil
	})
	err = g.Wait()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = nil // interrupted, the usual end of a demo
	}
	return err
}

// open creates the nodes, which form a cluster together.
func (d *demo) open(dir, endpoint, root string) error {
	logger, err := node.NewLogger(d.app.err, "text", "error")
	if err != nil {
		return err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	secretFile := filepath.Join(dir, "cluster.secret")
	if err := os.WriteFile(secretFile, []byte(base64.StdEncoding.EncodeToString(secret)), 0o600); err != nil {
		return err
	}
	var join []string
	for i := range demoNodes {
		c := node.DefaultConfig()
		c.NodeID, c.HTTPAddr = fmt.Sprintf("demo-%d", i+1), "127.0.0.1:0"
		c.DataDir = filepath.Join(dir, c.NodeID)
		c.SecretFile, c.BootstrapExpect, c.Join = secretFile, demoNodes, join
		c.ClusterAddr = "127.0.0.1:0"
		c.AllowEndpoints = []string{endpoint[len("http://"):]}
		c.RootToken, c.ScanStreams = catalog.NewSecret(root), d.streams
		c.Logger, c.Version = logger, version()
		if i == 0 {
			c.HTTPAddr = d.addr
		}
		n, err := d.start(&c)
		if err != nil {
			return err
		}
		join = append(join, c.GossipAddr)
		d.nodes = append(d.nodes, n)
	}
	return nil
}

// start starts a node on other ports than those in use, as far as they may be chosen.
func (d *demo) start(c *node.Config) (n *node.Node, err error) {
	dir := c.DataDir
	for try := range 5 {
		if c.GossipAddr, err = freeAddr(); err != nil {
			return nil, err
		}
		c.DataDir = filepath.Join(dir, strconv.Itoa(try))
		n, err = node.New(*c)
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		if c.HTTPAddr == d.addr && d.anyPort {
			c.HTTPAddr = "127.0.0.1:0" // the default port is in use
		}
	}
	return n, err
}

// freeAddr returns an unused address.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// show runs the steps of a first use.
func (d *demo) show(ctx context.Context, keys *bucketserver.Keys, endpoint, root string) error {
	out := d.app.out
	step := func(title string) { fmt.Fprintf(out, "\n%s\n", title) }
	if err := d.ready(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d nodes are serving, with a bucket of %s files at %s.\n", len(d.nodes), count(d.files), endpoint)
	admin, err := d.login(ctx, root)
	if err != nil {
		return err
	}
	if err := retry(ctx, admin, func(c *client) error {
		r, err := c.api().ClusterStatus(ctx)
		return show(d.app, r, err, func(all *apiclient.ClusterReply) error { return printNodes(out, all.Data.Nodes) })
	}); err != nil {
		return err
	}
	id, err := d.connect(ctx, endpoint)
	if err != nil {
		return err
	}
	step("Verifying that the bucket can be reached, read and written:")
	if err := retry(ctx, d.owner, func(c *client) error { return d.app.verify(ctx, c, id) }); err != nil {
		return err
	}
	step("Importing the backup records …")
	if err := retry(ctx, d.service, func(c *client) error { return d.importCatalog(ctx, c, keys, id) }); err != nil {
		return err
	}
	step(fmt.Sprintf("Scanning the bucket, with a latency of %v for each page …", demoLatency))
	if err := retry(ctx, d.owner, func(c *client) error { return d.app.watchSync(ctx, c, id) }); err != nil {
		return err
	}
	step("Totals by type:")
	if err := retry(ctx, d.owner, func(c *client) error {
		r, err := c.api().FileStats(ctx, id, nil)
		return show(d.app, r, err, d.app.printTotals)
	}); err != nil {
		return err
	}
	step("Some orphans, which no backup needs:")
	if err := retry(ctx, d.owner, func(c *client) error {
		orphans, err := apiclient.Decode(c.api().ListFiles(ctx, id, &apiclient.ListFilesParams{OrphansOnly: true, Limit: 5}))
		if err == nil {
			d.app.printFiles(orphans.Data.Files, true)
		}
		return err
	}); err != nil {
		return err
	}
	step("Some backups without a file:")
	if err := retry(ctx, d.owner, func(c *client) error {
		missing, err := apiclient.Decode(c.api().ListBackups(ctx, id, &apiclient.ListBackupsParams{Missing: true, Limit: 5}))
		if err != nil {
			return err
		}
		return printBackups(d.app.out, missing.Data.Backups, true)
	}); err != nil {
		return err
	}
	if !d.once {
		d.printHints(id)
	}
	return nil
}

// retry repeats a step while the cluster has no leader: on a busy machine an election may
// come in between. Its POSTs have one Idempotency-Key, so that they take effect once.
func retry(ctx context.Context, c *client, step func(*client) error) error {
	once := *c
	once.idempotencyKey = rand.Text()
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := step(&once)
		if err != nil && !isCode(err, apiclient.CodeNOLEADER) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithMaxElapsedTime(time.Minute))
	return err
}

func (d *demo) ready(ctx context.Context) error {
	for _, n := range d.nodes {
		for n.Ready() != nil {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// login creates the tokens for the other steps.
func (d *demo) login(ctx context.Context, root string) (admin *client, err error) {
	if admin, err = newClient(d.nodes[0].URL(), root, "", ""); err != nil {
		return nil, err
	}
	for role, to := range map[apiclient.Role]**client{"owner": &d.owner, "service": &d.service} {
		in := apiclient.CreateTokenJSONRequestBody{OrganizationID: demoOrg, Role: role, Name: "demo"}
		if err := retry(ctx, admin, func(c *client) error {
			made, err := apiclient.Decode(c.api().CreateToken(ctx, in))
			if err == nil {
				*to, err = newClient(d.nodes[0].URL(), made.Data.Token, demoOrg, "")
			}
			return err
		}); err != nil {
			return nil, err
		}
	}
	return admin, nil
}

func (d *demo) connect(ctx context.Context, endpoint string) (string, error) {
	var id string
	err := retry(ctx, d.owner, func(c *client) error {
		made, err := apiclient.Decode(c.api().CreateDestination(ctx, apiclient.NewDestination{
			Name: "demo", Type: string(apiclient.ProviderS3), Bucket: demoBucket, Region: "us-east-1", Endpoint: endpoint,
			Credentials: apiclient.Credentials{AccessKeyID: demoKey, SecretAccessKey: "demo"},
		}))
		if err == nil {
			id = made.Data.ID
		}
		return err
	})
	return id, err
}

// importCatalog streams records that match the bucket, except that 5 % of the backups
// have no record, and 1 % of the records have no file.
func (d *demo) importCatalog(ctx context.Context, c *client, keys *bucketserver.Keys, id string) error {
	r, w := io.Pipe()
	var g errgroup.Group
	g.Go(func() error {
		return w.CloseWithError(keys.WriteRecords(w, bucketserver.Catalog{Orphans: 0.05, Missing: 0.01, StorageID: id}))
	})
	response, err := c.unlimited().ImportRecords(ctx, nil, r)
	_ = r.CloseWithError(err) // ends the writer if the response came early
	if err = errors.Join(err, g.Wait()); err != nil {
		return err
	}
	return d.app.printImport(response, nil)
}

// printHints prints commands to try.
func (d *demo) printHints(id string) {
	fmt.Fprintf(d.app.out, `
The nodes keep serving until you press Ctrl-C. In another terminal:

  export FIRESCAN_ADDR=%[1]s FIRESCAN_ORG=%[2]s FIRESCAN_TOKEN=%[3]s
  %[4]s files demo --orphans --limit 10
  %[4]s sync --watch demo

Or with curl:

  curl -s -H "Authorization: Bearer $FIRESCAN_TOKEN" -H "X-Organization-Id: $FIRESCAN_ORG" \
    "$FIRESCAN_ADDR/api/v1/storage/destinations/%[5]s/files?orphansOnly=true&limit=10"
  curl -s -H "Authorization: Bearer $FIRESCAN_TOKEN" -H "X-Organization-Id: $FIRESCAN_ORG" "$FIRESCAN_ADDR/api/v1/storage/stats"
  curl -s "$FIRESCAN_ADDR/metrics"
`, d.nodes[0].URL(), demoOrg, d.owner.token, d.app.program, id)
}
