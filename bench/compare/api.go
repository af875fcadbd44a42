package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// api is a client of a node's Storage API.
type api struct{ base, token, org string }

// call sends body as JSON, if it is not nil, and decodes the data of the response.
func (a *api) call(ctx context.Context, method, path string, body, data any) error {
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(b)
	}
	return a.send(ctx, method, path, "application/json", reader, data)
}

// stream posts a body of any size.
func (a *api) stream(ctx context.Context, path, contentType string, body io.Reader, data any) error {
	return a.send(ctx, http.MethodPost, path, contentType, body, data)
}

func (a *api) send(ctx context.Context, method, path, contentType string, body io.Reader, data any) error {
	resp, err := a.request(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	response := struct {
		Success bool
		Data    any
		Error   struct{ Code, Message string }
	}{Data: data}
	if err := json.NewDecoder(resp.Body).Decode(&response); err != nil {
		return fmt.Errorf("%s %s: status %s: %w", method, path, resp.Status, err)
	}
	if !response.Success || resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: status %s: %s: %s", method, path, resp.Status, response.Error.Code, response.Error.Message)
	}
	return nil
}

func (a *api) request(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("X-Organization-Id", a.org)
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	return http.DefaultClient.Do(req)
}

// getJSON gets a URL and decodes the response into into, if it is not nil.
func getJSON(ctx context.Context, url string, header http.Header, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %s", url, resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// toArray advances d to the first element of the array at a path of object names.
func toArray(d *json.Decoder, path ...string) error {
	for _, name := range path {
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			return fmt.Errorf("no object with field %q: %v: %w", name, t, err)
		}
		for {
			t, err := d.Token()
			if err != nil {
				return err
			}
			if t == name {
				break
			}
			if t == json.Delim('}') {
				return fmt.Errorf("no field %q in the response", name)
			}
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return err
			}
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("%v instead of an array: %w", t, err)
	}
	return nil
}
