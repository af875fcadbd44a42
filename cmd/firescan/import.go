package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	apiclient "firescan/api/client"
)

// printFeed warns about an incomplete feed.
func printFeed(to io.Writer, f *apiclient.Feed) {
	if !f.Incomplete {
		return
	}
	fmt.Fprintf(to, "The feed is incomplete (%s refused records, %s unfinished imports): until it is imported again without refused lines, cleanups of orphans must be confirmed.\n",
		count(f.RefusedRecords), count(f.RunningImports))
}

func importCommand(a *app) *cobra.Command {
	check := false
	cmd := a.jsonFlag(a.orgFlags(&cobra.Command{
		Use: "import FILE.ndjson", Short: "Import projects, backups, schedules and PITR configurations", Args: positional(cobra.ExactArgs(1)),
		Long: `Import records from a file, or from standard input for -. Each line is a JSON object with
"kind" project, backup, schedule or pitr. Valid lines are imported; invalid lines are
reported by line number. The records may be compressed with gzip. Needs a token of the role
service.

Send a feed as one import. Refused lines make the feed incomplete, and cleanups of orphans
must be confirmed then, until each refused record is stored or an import without refused
lines stores as many records as the incomplete one did.

With --check nothing is stored: each location is printed with what it would become.`,
		Example: `  firescan import backups.ndjson
  firescan import --check backups.ndjson.gz
  pg-export | firescan import -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.orgClient()
			if err != nil {
				return err
			}
			var in io.Reader
			var size int64
			if args[0] == "-" {
				r, stop := interruptible(cmd.Context(), a.in)
				defer stop()
				in = r
			} else {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("open the records: %w", err)
				}
				defer func() { _ = f.Close() }()
				if info, err := f.Stat(); err == nil && !strings.HasSuffix(args[0], ".gz") {
					size = info.Size()
				}
				in = f
			}
			in = &gunzipper{in: in}
			if check {
				return a.checkImport(cmd, c, in)
			}
			return a.printImport(a.upload(cmd.Context(), c, in, size))
		},
	}))
	cmd.Flags().BoolVar(&check, "check", false, "show what each location would become, and store nothing")
	return cmd
}

// A gunzipper reads records that may be compressed. It looks at them at the first Read, since
// standard input may block, and a request that is refused does not read it.
type gunzipper struct {
	in io.Reader
	r  io.Reader
}

func (g *gunzipper) Read(p []byte) (int, error) {
	if g.r == nil {
		in := bufio.NewReader(g.in)
		g.r = in
		if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b { // RFC 1952, 2.3.1
			z, err := gzip.NewReader(in)
			if err != nil {
				return 0, fmt.Errorf("%w as gzip: %w", errUnreadable, err)
			}
			g.r = z
		}
	}
	n, err := g.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w to their end, so the import is incomplete: %w; get the file again and repeat the import", errUnreadable, err)
	}
	return n, err
}

// upload sends the records and shows progress. The size is 0 if unknown.
func (a *app) upload(ctx context.Context, c *client, in io.Reader, size int64) (r *apiclient.Response[apiclient.ImportedReply], err error) {
	if terminal(a.err) {
		p := mpb.NewWithContext(ctx, mpb.WithOutput(a.err), mpb.WithWidth(100))
		sent := decor.CountersKibiByte("% .1f / % .1f")
		if size == 0 {
			sent = decor.CurrentKibiByte("% .1f")
		}
		bar := p.AddBar(size,
			mpb.PrependDecorators(decor.Name("import "), sent),
			mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f")))
		in = &countingReader{in, func(n int64) { bar.SetCurrent(n) }, 0}
		defer func() {
			if err == nil {
				bar.SetTotal(-1, true)
			} else {
				bar.Abort(false)
			}
			p.Wait()
		}()
	} else {
		in = &countingReader{in, uploadLines(a.err, size, time.Now), 0}
	}
	return c.unlimited().ImportRecords(ctx, nil, in)
}

// interruptible returns a reader of in whose reads end with ctx: a request waits for its
// current read, which on standard input may block forever. The last read may be lost with
// stop, and a read that never returns leaks until the process ends.
func interruptible(ctx context.Context, in io.Reader) (r io.Reader, stop func()) {
	pr, pw := io.Pipe()
	go func() {
		_, err := io.Copy(pw, in)
		_ = pw.CloseWithError(err)
	}()
	forget := context.AfterFunc(ctx, func() { _ = pr.CloseWithError(context.Cause(ctx)) })
	return pr, func() {
		forget()
		_ = pr.Close()
	}
}

// A countingReader reports the total number of bytes read.
type countingReader struct {
	io.Reader
	report func(n int64)
	n      int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	c.report(c.n)
	return n, err
}

// uploadLines returns a function that prints progress at most once per lineInterval.
func uploadLines(out io.Writer, size int64, now func() time.Time) func(n int64) {
	last := now()
	return func(n int64) {
		at := now()
		if at.Sub(last) < lineInterval {
			return
		}
		last = at
		of := ""
		if size > 0 {
			of = " of " + bytesText(size)
		}
		fmt.Fprintf(out, "import: %s%s\n", bytesText(n), of)
	}
}

// printImport prints the response to an import.
func (a *app) printImport(r *apiclient.Response[apiclient.ImportedReply], err error) error {
	if err != nil {
		return err
	}
	reply, err := read(a, r, nil)
	if err != nil {
		return fmt.Errorf("repeat the import (imports are idempotent): %w", err)
	}
	result := &reply.Data
	if !a.json {
		n := result.Imported
		fmt.Fprintf(a.out, "imported %s projects, %s backups, %s schedules, %s PITR configurations\n",
			count(n["projects"]), count(n["backups"]), count(n["schedules"]), count(n["pitr"]))
		for _, e := range result.Errors {
			fmt.Fprintf(a.err, "line %d: %s\n", e.Line, oneLine(e.Message))
		}
		printFeed(a.err, &result.Feed)
	}
	if failed := result.FailedCount; failed > 0 {
		return fmt.Errorf("%s lines were not imported; fix them and repeat the import (imports are idempotent)", count(failed))
	}
	return nil
}
