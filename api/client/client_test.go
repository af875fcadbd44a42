package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

// serve returns a client of a server that returns body, and what the server received.
func serve(t *testing.T, status int, body string) (*Client, *http.Request) {
	t.Helper()
	received := new(http.Request)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*received = *r.Clone(context.Background())
		received.Body = io.NopCloser(strings.NewReader(string(content)))
		w.Header().Set("X-Request-Id", "req_1")
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return &Client{Address: server.URL + "/", Token: "tok", Organization: "acme", IdempotencyKey: "once", HTTP: server.Client()}, received
}

func TestRequests(t *testing.T) {
	for name, test := range map[string]struct {
		call func(context.Context, *Client) error
		want string
		body string
	}{
		"no parameters": {func(ctx context.Context, c *Client) error {
			_, err := Decode(c.ListFiles(ctx, "st 1/2", nil))
			return err
		}, "GET /api/v1/storage/destinations/st%201%2F2/files", ""},
		"parameters": {func(ctx context.Context, c *Client) error {
			_, err := Decode(c.ListFiles(ctx, "a", &ListFilesParams{OrphansOnly: true, Limit: 7, Prefix: "a&b=/ü", MinAge: "0s", Type: FileTypePitr}))
			return err
		}, "GET /api/v1/storage/destinations/a/files?limit=7&minAge=0s&orphansOnly=true&prefix=a%26b%3D%2F%C3%BC&type=pitr", ""},
		"body": {func(ctx context.Context, c *Client) error {
			_, err := Decode(c.StartSync(ctx, &StartSyncParams{DestinationID: "a"}))
			return err
		}, "POST /api/v1/storage/sync?destinationId=a", ""},
		"absent and empty fields": {func(ctx context.Context, c *Client) error {
			_, err := Decode(c.UpdateDestination(ctx, "a", DestinationChange{Path: new(string)}))
			return err
		}, "PUT /api/v1/storage/destinations/a", `{"path":""}`},
		"stream": {func(ctx context.Context, c *Client) error {
			r, err := c.ImportRecords(ctx, nil, strings.NewReader("{}\n{}\n"))
			if err == nil {
				err = r.Body.Close()
			}
			return err
		}, "POST /api/v1/catalog/import", "{}\n{}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c, received := serve(t, 200, "{}")
			if err := test.call(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if got := received.Method + " " + received.URL.RequestURI(); got != test.want {
				t.Errorf("request %s, want %s", got, test.want)
			}
			if body, err := io.ReadAll(received.Body); err != nil || string(body) != test.body {
				t.Errorf("body %q, %v, want %q", body, err, test.body)
			}
			h, key := received.Header, ""
			if received.Method == http.MethodPost {
				key = "once"
			}
			if h.Get("Authorization") != "Bearer tok" || h.Get("X-Organization-Id") != "acme" || h.Get("Idempotency-Key") != key {
				t.Errorf("headers %v", h)
			}
		})
	}
}

// Requests cannot be built wrongly by a change of the document that the templates do not
// know: each method of a client is called once, with zero values.
func TestAllMethods(t *testing.T) {
	c, _ := serve(t, 200, "{}")
	client := reflect.ValueOf(c)
	for i := range client.NumMethod() {
		method := client.Method(i)
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for j := 1; j < method.Type().NumIn(); j++ {
			in := method.Type().In(j)
			switch in.Kind() {
			case reflect.Pointer:
				args = append(args, reflect.New(in.Elem()))
			case reflect.Interface: // a reader
				args = append(args, reflect.ValueOf(strings.NewReader("")))
			default:
				args = append(args, reflect.Zero(in))
			}
		}
		if err := method.Call(args)[1]; !err.IsNil() {
			t.Errorf("%s: %v", client.Type().Method(i).Name, err)
		}
	}
}

func TestResponses(t *testing.T) {
	c, _ := serve(t, 200, `{"success":true,"data":{"files":[{"path":"a","size":"9007199254740993","lastModified":null,"type":"meta","isOrphan":true}],"total":1},"meta":{"nextCursor":"x"},"new":{}}`)
	page, err := Decode(c.ListFiles(t.Context(), "a", nil))
	if err != nil {
		t.Fatal(err)
	}
	if f := page.Data.Files[0]; f.Path != "a" || f.Size != "9007199254740993" || !f.LastModified.IsZero() || f.Type != FileTypeMeta || !f.IsOrphan || page.Meta.NextCursor != "x" {
		t.Errorf("decoded %+v", page)
	}

	c, _ = serve(t, 200, "data: 1\n\n")
	stream, err := c.StreamEvents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(stream); err != nil || string(text) != "data: 1\n\n" {
		t.Errorf("stream %q, %v", text, err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}

	c, _ = serve(t, 200, `{"data":[`)
	if _, err := Decode(c.ListTokens(t.Context(), nil)); err == nil || !strings.Contains(err.Error(), "unexpected response") {
		t.Errorf("invalid JSON: %v", err)
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		status     int
		body, want string
	}{
		{400, `{"success":false,"error":{"code":"VALIDATION_ERROR","message":"Not valid: a is missing (and 1 more in details.fields)","details":{"fields":{"b":"is wrong","a":"is missing"}}}}`, "Not valid: a is missing; b is wrong (VALIDATION_ERROR)"},
		{400, `{"error":{"code":"INVALID_CREDENTIALS","message":"Failed","details":{"reason":"No such key"}}}`, "Failed: No such key (INVALID_CREDENTIALS)"},
		{409, `{"error":{"code":"NEW","message":"Unknown to this client","details":{"fields":[1],"more":{}}}}`, "Unknown to this client (NEW)"},
		{500, `{"error":{}}`, "not from a firescan node"},
		{502, `<html>bad gateway</html>`, "502 Bad Gateway, not from a firescan node"},
	} {
		c, _ := serve(t, test.status, test.body)
		_, err := Decode(c.ListTokens(t.Context(), nil))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("status %d: %v, want %q", test.status, err, test.want)
		}
	}
	c, _ := serve(t, 503, `{"error":{"code":"NO_LEADER","message":"No leader","details":{"a":1}}}`)
	_, err := Decode(c.ListTokens(t.Context(), nil))
	e, ok := errors.AsType[*Error](err)
	if !ok || !reflect.DeepEqual(e, &Error{
		Status: 503, Code: CodeNOLEADER, Message: "No leader", Details: json.RawMessage(`{"a":1}`), RequestID: "req_1", RetryAfter: 3 * time.Second,
	}) {
		t.Errorf("error %+v", e)
	}
}
