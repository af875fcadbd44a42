// Command bucketserver serves a computed S3 bucket for measurements, or writes the
// catalog of backup records that matches it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"firescan/bench/bucketserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bucketserver:", err)
		os.Exit(1)
	}
}

type config struct {
	layout  string
	keys    uint64
	listen  string
	faults  string
	seed    uint64
	records bool
	expect  bool
	catalog bucketserver.Catalog
	server  bucketserver.Options
}

func parse(args []string) (*config, error) {
	c := new(config)
	f := flag.NewFlagSet("bucketserver", flag.ContinueOnError)
	f.StringVar(&c.layout, "layout", "flat", "how keys are spread: flat, tree or skewed")
	f.Uint64Var(&c.keys, "keys", 1_000_000, "number of objects")
	f.StringVar(&c.listen, "listen", "127.0.0.1:0", "address to serve on")
	f.StringVar(&c.server.Bucket, "bucket", "bench-bucket", "name of the bucket")
	f.StringVar(&c.server.AccessKey, "access-key", "", "the only access key id to let in (default: any)")
	f.DurationVar(&c.server.Latency, "latency", 0, "how long each answer is held back")
	f.Float64Var(&c.server.Rate, "throttle", 0, "requests a second before 503 SlowDown (default: no limit)")
	f.IntVar(&c.server.PageSize, "page-size", 1000, "most keys of a page")
	f.StringVar(&c.faults, "faults", "", "share of list requests that fail by kind, such as truncated=0.01,reset=0.001")
	f.Uint64Var(&c.seed, "seed", 1, "seed of the faults")
	f.BoolVar(&c.records, "catalog-ndjson", false, "write the matching backup records to standard output and exit")
	f.BoolVar(&c.expect, "expect", false, "write the right answer about bucket and catalog as JSON and exit")
	f.StringVar(&c.catalog.StorageID, "storage-id", "storage_bench", "destination that the records name")
	f.Float64Var(&c.catalog.Orphans, "orphans", 0.1, "share of the backups that no record names")
	f.Float64Var(&c.catalog.Missing, "missing", 0.001, "share of the backups beside which a record names a file that does not exist")
	f.BoolVar(&c.catalog.Sorted, "sorted", false, "write the records in the order of their paths")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: everything is a flag, see -help", f.Arg(0))
	}
	return c, nil
}

func run(ctx context.Context, args []string) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	keys, err := bucketserver.NewKeys(bucketserver.Layout(c.layout), c.keys)
	if err != nil {
		return err
	}
	switch {
	case c.records:
		return keys.WriteRecords(os.Stdout, c.catalog)
	case c.expect:
		e, err := keys.Expect(c.catalog)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(e)
	}
	c.server.Keys = keys
	if c.server.Fault, err = parseFaults(c.faults, c.seed); err != nil {
		return err
	}
	s := bucketserver.New(c.server)
	address, err := s.Start(c.listen)
	if err != nil {
		return err
	}
	fmt.Println(address)
	<-ctx.Done()
	return s.Close()
}

func parseFaults(text string, seed uint64) (bucketserver.FaultFunc, error) {
	if text == "" {
		return nil, nil
	}
	shares := map[bucketserver.Fault]float64{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		fault, ok := bucketserver.ParseFault(name)
		share, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil || share < 0 || share > 1 {
			return nil, fmt.Errorf("fault %q: want kind=share, such as truncated=0.01", part)
		}
		shares[fault] = share
	}
	return bucketserver.Chance(seed, shares), nil
}
