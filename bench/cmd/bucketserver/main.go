// Command bucketserver serves a synthetic S3 bucket for measurements, or writes the
// matching catalog of backup records.
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
	f.StringVar(&c.layout, "layout", "flat", "layout of the keys: flat, tree or skewed")
	f.Uint64Var(&c.keys, "keys", 1_000_000, "number of objects")
	f.StringVar(&c.listen, "listen", "127.0.0.1:0", "listen address")
	f.StringVar(&c.server.Bucket, "bucket", "bench-bucket", "name of the bucket")
	f.StringVar(&c.server.AccessKey, "access-key", "", "only accepted access key id (default any)")
	f.DurationVar(&c.server.Latency, "latency", 0, "delay of each response")
	f.Float64Var(&c.server.Rate, "throttle", 0, "maximum requests per second before 503 SlowDown (0 = unlimited)")
	f.IntVar(&c.server.PageSize, "page-size", 1000, "maximum number of keys per page")
	f.StringVar(&c.faults, "faults", "", "share of faulty list requests by kind, such as truncated=0.01,reset=0.001")
	f.Uint64Var(&c.seed, "seed", 1, "seed of the faults")
	f.BoolVar(&c.records, "catalog-ndjson", false, "write the matching backup records to standard output and exit")
	f.BoolVar(&c.expect, "expect", false, "write the expected scan result as JSON and exit")
	f.StringVar(&c.catalog.StorageID, "storage-id", "storage_bench", "destination id in the records")
	f.Float64Var(&c.catalog.Orphans, "orphans", 0.1, "share of the backups without a record")
	f.Float64Var(&c.catalog.Missing, "missing", 0.001, "number of records without a file, as a share of the backups")
	f.BoolVar(&c.catalog.Sorted, "sorted", false, "write the records in the order of their paths")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: this command takes only flags, see -help", f.Arg(0))
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
