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

// keyRange is what one stream lists: the keys behind after, up to and with last.
type keyRange struct {
	after, last string
	keys        uint64
}

// runReader is the other side of measure for the readers of our own: it lists the
// bucket and prints a line a key.
func runReader(ctx context.Context, args []string) error {
	f := flag.NewFlagSet(readerCommand, flag.ContinueOnError)
	how := f.String("how", "sdk", "sdk or bytes")
	endpoint := f.String("endpoint", "", "where the bucket is")
	layout := f.String("layout", "flat", "layout of the bucket, to cut it in ranges")
	n := f.Uint64("keys", 0, "keys of the bucket, to cut it in ranges")
	streams := f.Int("streams", 1, "how many ranges to list at once")
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
				err = fmt.Errorf("the range behind %q has %d keys, %d were listed", r.after, r.keys, got)
			}
			total.Add(got)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	// The lines come at the end and all at once: printing is not what is measured.
	_, err = os.Stdout.WriteString(strings.Repeat("\n", int(total.Load())))
	return err
}

// cut divides the bucket in n ranges of equal size.
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

// sdkReader lists with the SDK's own paginator, as its documentation shows.
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

// bytesReader is the least that a lister can do: read the pages, find their last
// keys, keep nothing.
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
				return n, fmt.Errorf("page behind %q: status %s: %w", after, resp.Status, err)
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
