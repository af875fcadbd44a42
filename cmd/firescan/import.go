package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// imported is the answer of an import.
type imported struct {
	Imported    map[string]uint64
	FailedCount uint64
	Errors      []struct {
		Line    int
		Message string
	}
}

func (a *app) importCommand() *cobra.Command {
	return a.reads(a.ofOrg(&cobra.Command{
		Use: "import FILE.ndjson", Short: "Import projects, backups, schedules and PITR configurations", Args: takes(cobra.ExactArgs(1)),
		Long: `Import records, one a line, each with "kind" project, backup, schedule or pitr; - reads
them from standard input. Good lines land, bad ones are told by number. It takes a
token of the role service.`,
		Example: `  firescan import backups.ndjson
  pg-export | firescan import -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
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
					return fmt.Errorf("open what is to be imported: %w", err)
				}
				defer func() { _ = f.Close() }()
				if info, err := f.Stat(); err == nil {
					size = info.Size()
				}
				in = f
			}
			raw, err := a.upload(cmd, c, in, size)
			if err != nil {
				return err
			}
			return a.printImport(raw)
		},
	}))
}

// upload sends the records, and shows how much of them has gone.
func (a *app) upload(cmd *cobra.Command, c *client, in io.Reader, size int64) (raw []byte, err error) {
	if terminal(a.err) {
		p := mpb.NewWithContext(cmd.Context(), mpb.WithOutput(a.err), mpb.WithWidth(100))
		sent := decor.CountersKibiByte("% .1f / % .1f")
		if size == 0 {
			sent = decor.CurrentKibiByte("% .1f")
		}
		bar := p.AddBar(size,
			mpb.PrependDecorators(decor.Name("import "), sent),
			mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f")))
		in = &counted{in, func(n int64) { bar.SetCurrent(n) }, 0}
		defer func() {
			if err == nil {
				bar.SetTotal(-1, true)
			} else {
				bar.Abort(false)
			}
			p.Wait()
		}()
	} else {
		in = &counted{in, uploadLines(a.err, size, time.Now), 0}
	}
	answer, err := c.stream(cmd.Context(), http.MethodPost, "/api/v1/catalog/import", "application/x-ndjson", in)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Close() }()
	if raw, err = io.ReadAll(answer); err != nil {
		return nil, fmt.Errorf("the answer to the import was cut short; importing again is harmless: %w", err)
	}
	return raw, nil
}

// interruptible lets the reads of in end with ctx: a request waits for the read that is
// under way, and on standard input that may take forever. What was read last is lost
// with stop, and a read of in that never ends is left to the end of the process.
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

// counted tells how much has been read.
type counted struct {
	io.Reader
	see func(n int64)
	n   int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	c.see(c.n)
	return n, err
}

// uploadLines prints how much has gone at most once in some seconds.
func uploadLines(out io.Writer, size int64, now func() time.Time) func(n int64) {
	last := now()
	return func(n int64) {
		at := now()
		if at.Sub(last) < lineEvery {
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

func (a *app) printImport(raw []byte) error {
	var answer struct{ Data imported }
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("the answer to the import is not understood: %w", err)
	}
	if a.json {
		if err := a.printRaw(raw); err != nil {
			return err
		}
	} else {
		n := answer.Data.Imported
		fmt.Fprintf(a.out, "imported %s projects, %s backups, %s schedules, %s PITR configurations\n",
			count(n["projects"]), count(n["backups"]), count(n["schedules"]), count(n["pitr"]))
		for _, e := range answer.Data.Errors {
			fmt.Fprintf(a.err, "line %d: %s\n", e.Line, oneLine(e.Message))
		}
	}
	if failed := answer.Data.FailedCount; failed > 0 {
		return fmt.Errorf("%s lines were not imported; mend them and import them again (the others landed, and importing them twice is harmless)", count(failed))
	}
	return nil
}
