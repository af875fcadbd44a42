package provider_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"firescan/provider"
)

// endless writes until the client has enough, and reports how many bytes it has written.
func endless(status int, written *atomic.Int64) http.HandlerFunc {
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		for {
			n, err := w.Write(chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
}

// TestResponsesAreBounded reads responses that do not end, of every kind of status.
func TestResponsesAreBounded(t *testing.T) {
	for _, c := range []struct {
		name        string
		status      int
		asked, want int64
	}{
		{"error", http.StatusForbidden, 0, 256 << 10},
		{"error of a list", http.StatusInternalServerError, provider.MaxPage, 256 << 10},
		{"redirect", http.StatusFound, 0, 256 << 10},
		{"small", http.StatusOK, 0, 1 << 20},
		{"list", http.StatusOK, provider.MaxPage, provider.MaxPage},
	} {
		t.Run(c.name, func(t *testing.T) {
			var written atomic.Int64
			server := httptest.NewServer(endless(c.status, &written))
			t.Cleanup(server.Close)
			ctx := t.Context()
			if c.asked != 0 {
				ctx = provider.WithResponseLimit(ctx, c.asked)
			}
			client := egress(t, "127.0.0.1:*").HTTPClient()
			if c.status != http.StatusOK {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				response, err := client.Do(request)
				if !errors.Is(err, provider.ErrTooLong) {
					t.Errorf("the call ends with %v, want ErrTooLong", err)
				}
				if err == nil {
					_ = response.Body.Close()
				}
				return
			}
			response := fetch(t, client, ctx, server.URL)
			read, err := io.Copy(io.Discard, response.Body)
			if untrusted, ok := errors.AsType[*provider.Untrusted](err); !ok || !errors.Is(untrusted, provider.ErrTooLong) {
				t.Errorf("reading ends with %v, want ErrTooLong", err)
			}
			if read > c.want {
				t.Errorf("%d bytes were read, want at most %d", read, c.want)
			}
			if _, again := response.Body.Read(make([]byte, 1)); again == nil {
				t.Error("reading goes on after its end")
			}
		})
	}
}

// TestWholeResponses reads responses that end exactly at a limit.
func TestWholeResponses(t *testing.T) {
	for _, size := range []int{0, 1, 1<<20 - 1, 1 << 20, 5 << 20, provider.MaxPage} {
		body := bytes.Repeat([]byte("x"), size)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
		ctx := provider.WithResponseLimit(t.Context(), max(int64(size), 1<<20))
		read, err := io.ReadAll(fetch(t, egress(t, "127.0.0.1:*").HTTPClient(), ctx, server.URL).Body)
		if err != nil || len(read) != size {
			t.Errorf("of %d bytes, %d were read: %v", size, len(read), err)
		}
		server.Close()
	}
}

// TestLargeResponses: only few large responses are read at once, and each gives its place
// back however it ends.
func TestLargeResponses(t *testing.T) {
	var written atomic.Int64
	server := httptest.NewServer(endless(http.StatusOK, &written))
	t.Cleanup(server.Close)
	client := egress(t, "127.0.0.1:*").HTTPClient()
	ctx := provider.WithResponseLimit(t.Context(), provider.MaxPage)
	begin := func(ctx context.Context) (io.ReadCloser, error) {
		body := fetch(t, client, ctx, server.URL).Body
		_, err := io.CopyN(io.Discard, body, provider.MaxUnqueued)
		return body, err
	}
	more := func(body io.Reader, err error) error {
		if err == nil {
			_, err = io.CopyN(io.Discard, body, 1)
		}
		return err
	}
	var large []io.ReadCloser
	for range provider.MaxLarge {
		body, err := begin(ctx)
		if err = more(body, err); err != nil {
			t.Fatal(err)
		}
		large = append(large, body)
	}
	waiting, leave := context.WithCancel(ctx)
	body, err := begin(waiting)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, leave)
	if err := more(body, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("one large response too many ends with %v, want to wait", err)
	}
	_ = large[0].Close() // in the middle
	_ = large[0].Close() // twice, as clients do
	if _, err := io.Copy(io.Discard, large[1]); !errors.Is(err, provider.ErrTooLong) {
		t.Errorf("reading to the end ends with %v", err)
	}
	for range 2 {
		body, err := begin(ctx)
		if err = more(body, err); err != nil {
			t.Errorf("after others have ended: %v", err)
		}
	}
}

// TestSlowResponses ends responses that arrive too slowly, but not those whose reader is
// slow.
func TestSlowResponses(t *testing.T) {
	const window = 50 * time.Millisecond
	transport := provider.NewBounded(http.DefaultTransport, window, 1000, time.Hour)
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	drip := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte("x")); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(window / 10)
		}
	}))
	t.Cleanup(drip.Close)
	_, err := io.Copy(io.Discard, fetch(t, client, t.Context(), drip.URL).Body)
	if !errors.Is(err, provider.ErrTooSlow) || provider.KindOf(err) != provider.Unavailable {
		t.Errorf("a response that drips ends with %v, want ErrTooSlow", err)
	}
	patient := provider.NewBounded(http.DefaultTransport, window, 0, 3*window)
	t.Cleanup(patient.CloseIdleConnections)
	if _, err := io.Copy(io.Discard, fetch(t, &http.Client{Transport: patient}, t.Context(), drip.URL).Body); !errors.Is(err, provider.ErrTooSlow) {
		t.Errorf("a response that drips forever ends with %v, want ErrTooSlow", err)
	}

	honest := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100)) }))
	t.Cleanup(honest.Close)
	body := fetch(t, client, t.Context(), honest.URL).Body
	time.Sleep(4 * window)
	if read, err := io.ReadAll(body); err != nil || len(read) != 100 {
		t.Errorf("a slow reader has %d bytes: %v", len(read), err)
	}
}

func fetch(t *testing.T, client *http.Client, ctx context.Context, url string) *http.Response { //nolint:revive // the test comes first
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}
