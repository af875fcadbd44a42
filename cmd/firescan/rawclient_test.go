package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	apiclient "firescan/api/client"
)

// The tests also send requests that the generated client does not.

const destinationsPath = "/api/v1/storage/destinations"

func syncPath(id string) string {
	if id == "" {
		return "/api/v1/storage/sync"
	}
	return "/api/v1/storage/sync?destinationId=" + url.QueryEscape(id)
}

type startedSyncs struct{ SyncIDs []string }

// destinationPath returns the path of a resource of a destination.
func destinationPath(id, rest string) string {
	return destinationsPath + "/" + url.PathEscape(id) + rest
}

// call sends body as JSON unless it is nil, and decodes the data of the response into
// data unless that is nil.
func (c *client) call(ctx context.Context, method, path string, body, data any) error {
	raw, err := c.raw(ctx, method, path, body)
	if err != nil || data == nil {
		return err
	}
	if err := json.Unmarshal(raw, &struct{ Data any }{data}); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// raw is call, but returns the whole response undecoded.
func (c *client) raw(ctx context.Context, method, path string, body any) ([]byte, error) {
	var reader io.Reader
	contentType := ""
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader, contentType = bytes.NewReader(data), "application/json"
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errTimeout)
	defer cancel()
	return c.readAll(ctx, method, path, contentType, reader)
}

// readAll is stream, but reads the whole body of the response.
func (c *client) readAll(ctx context.Context, method, path, contentType string, body io.Reader) ([]byte, error) {
	stream, err := c.stream(ctx, method, path, contentType, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }()
	raw, err := io.ReadAll(stream)
	if err != nil {
		return nil, fmt.Errorf("%s %s: the response was cut short: %w", method, path, cmp.Or(context.Cause(ctx), err))
	}
	return raw, nil
}

// stream sends a body of any size and returns the body of a successful response. The
// caller closes it.
func (c *client) stream(ctx context.Context, method, path, contentType string, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if c.org != "" {
		req.Header.Set("X-Organization-Id", c.org)
	}
	if c.idempotencyKey != "" && method == http.MethodPost {
		req.Header.Set("Idempotency-Key", c.idempotencyKey)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.connectionError(ctx, err)
	}
	if err := apiclient.CheckResponse(resp); err != nil {
		return nil, err
	}
	return resp.Body, nil
}
