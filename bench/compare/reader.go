package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"firescan/bench/bucketserver"
)

const readerCommand = "reader"

// keyRange is the range of one stream: keys greater than after, up to last inclusive.
type keyRange struct {
	after, last string
	keys        uint64
}

// runReader is the child process of the ideal readers: it lists the bucket and prints one
// line per key.
func runReader(ctx context.Context, args []string) error {
	f := flag.NewFlagSet(readerCommand, flag.ContinueOnError)
	how := f.String("how", "sdk", "sdk or bytes")
	endpoint := f.String("endpoint", "", "endpoint of the bucket")
	layout := f.String("layout", "flat", "layout of the bucket, to split it into ranges")
	n := f.Uint64("keys", 0, "number of keys of the bucket, to split it into ranges")
	streams := f.Int("streams", 1, "number of ranges to list in parallel")
	if err := f.Parse(args); err != nil {
		return err
	}
	ranges, err := splitKeys(bucketserver.Layout(*layout), *n, *streams)
	if err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: *streams}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	read := sdkReader(client, *endpoint)
	if *how == "bytes" {
		read = bytesReader(client, *endpoint)
	}
	var total atomic.Uint64
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range ranges {
		g.Go(func() error {
			got, err := read(ctx, r)
			if err == nil && got != r.keys {
				err = fmt.Errorf("range after %q: has %d keys, %d listed", r.after, r.keys, got)
			}
			total.Add(got)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	// All lines are printed at the end, so that printing is hardly measured.
	_, err = os.Stdout.WriteString(strings.Repeat("\n", int(total.Load())))
	return err
}

// splitKeys splits the bucket into n ranges of equal size.
func splitKeys(layout bucketserver.Layout, keys uint64, n int) ([]keyRange, error) {
	k, err := bucketserver.NewKeys(layout, keys)
	if err != nil {
		return nil, err
	}
	var ranges []keyRange
	for i := range uint64(n) {
		from, to := keys*i/uint64(n), keys*(i+1)/uint64(n)
		if from == to {
			continue
		}
		r := keyRange{keys: to - from, last: string(k.AppendKey(nil, to-1))}
		if from > 0 {
			r.after = string(k.AppendKey(nil, from-1))
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}

// sdkReader lists with the SDK's paginator, as its documentation shows.
func sdkReader(client *http.Client, endpoint string) func(context.Context, keyRange) (uint64, error) {
	c := s3.New(s3.Options{
		BaseEndpoint: &endpoint, UsePathStyle: true, Region: "us-east-1", HTTPClient: client,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	return func(ctx context.Context, r keyRange) (n uint64, err error) {
		in := &s3.ListObjectsV2Input{Bucket: aws.String(bucketName)}
		if r.after != "" {
			in.StartAfter = &r.after
		}
		for p := s3.NewListObjectsV2Paginator(c, in); p.HasMorePages(); {
			page, err := p.NextPage(ctx)
			if err != nil {
				return n, err
			}
			for _, o := range page.Contents {
				if *o.Key > r.last {
					return n, nil
				}
				n++
			}
		}
		return n, nil
	}
}

// bytesReader does the minimum work of a lister: it reads the pages, finds their last
// keys and discards the rest.
func bytesReader(client *http.Client, endpoint string) func(context.Context, keyRange) (uint64, error) {
	buffers := sync.Pool{New: func() any { return new(bytes.Buffer) }}
	return func(ctx context.Context, r keyRange) (n uint64, err error) {
		buf := buffers.Get().(*bytes.Buffer)
		defer buffers.Put(buf)
		for after := r.after; ; {
			q := url.Values{"list-type": {"2"}, "start-after": {after}}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/"+bucketName+"?"+q.Encode(), nil)
			if err != nil {
				return n, err
			}
			resp, err := client.Do(req)
			if err != nil {
				return n, err
			}
			buf.Reset()
			_, err = io.Copy(buf, resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK {
				return n, fmt.Errorf("list after %q: status %s: %w", after, resp.Status, err)
			}
			b := buf.Bytes()
			open, end := []byte("<Key>"), []byte("</Key>")
			at := bytes.LastIndex(b, open)
			if at < 0 {
				return n, nil
			}
			last, _, _ := bytes.Cut(b[at+len(open):], end)
			if string(last) >= r.last {
				until := bytes.Index(b, append(append(bytes.Clone(open), r.last...), end...))
				return n + uint64(bytes.Count(b[:max(until, 0)], open)) + 1, nil
			}
			n += uint64(bytes.Count(b, open))
			after = string(last)
		}
	}
}
