package provider_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"firescan/provider"
	"firescan/provider/gcs"
	"firescan/provider/s3"
)

func TestClockOffset(t *testing.T) {
	for _, want := range []time.Duration{0, -2 * time.Hour, 10 * time.Minute} {
		t.Run(want.String(), func(t *testing.T) {
			status := http.StatusForbidden
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				date := time.Now().Add(want)
				if status >= 500 {
					date = time.Unix(0, 0) // of a gateway
				}
				w.Header().Set("Date", date.UTC().Format(http.TimeFormat))
				w.WriteHeader(status)
			}))
			defer server.Close()
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			amazon, err := s3.New(s3.Config{Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "b", PathStyle: true, HTTPClient: client})
			if err != nil {
				t.Fatal(err)
			}
			google, err := gcs.New(gcs.Config{Endpoint: server.URL, ProjectID: "project-1", HTTPClient: client})
			if err != nil {
				t.Fatal(err)
			}
			for name, account := range map[string]provider.Account{"s3": amazon, "gcs": google} {
				b := provider.Retry(account.Bucket("bucket-1"), provider.RetryOptions{Attempts: 1})
				if _, known := provider.ClockOffset(b); known {
					t.Errorf("%s: known before the first response", name)
				}
				for _, status = range []int{http.StatusForbidden, http.StatusBadGateway} {
					_ = list(t.Context(), b)
					_ = b.Delete(t.Context(), "key", "")
				}
				got, known := provider.ClockOffset(b)
				if diff := got - want; !known || diff < -2*time.Second || diff > 2*time.Second || want == 0 && got != 0 {
					t.Errorf("%s: offset %v, known %v; want %v", name, got, known, want)
				}
			}
		})
	}
}
