package providertest

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"firescan/provider"
)

// Connections tests that broken and refused connections are errors that may pass. page is a
// whole page of a list; dial opens the account of a server without TLS.
func Connections(t *testing.T, page string, dial func(t *testing.T, endpoint string) provider.Account) {
	t.Helper()
	cut := func(n int, chunked bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if !chunked {
				w.Header().Set("Content-Length", strconv.Itoa(len(page)))
			}
			_, _ = io.WriteString(w, page[:n])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"before the response": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"after the header":    cut(0, false),
		"in the middle":       cut(len(page)/2, false),
		"at the last byte":    cut(len(page)-1, false),
		"in a chunked body":   cut(len(page)/2, true),
		// The document is whole, but HTTP says that more was to come.
		"after a whole page": cut(len(page), true),
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			err := dial(t, server.URL).Bucket("bucket").List(t.Context(), provider.ListRequest{}, &provider.Page{})
			if kind := provider.KindOf(err); err == nil || !kind.Temporary() {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		endpoint := "http://" + l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = dial(t, endpoint).Buckets(t.Context())
		if provider.KindOf(err) != provider.Unavailable || !strings.Contains(err.Error(), "refused") {
			t.Errorf("error %v", err)
		}
	})
}
