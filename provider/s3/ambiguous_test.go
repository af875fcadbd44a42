package s3_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"firescan/provider"
	"firescan/provider/providertest/ports"
	"firescan/provider/s3"
)

// TestWhichDeletesMayStillAct deletes through servers that fail in different ways.
func TestWhichDeletesMayStillAct(t *testing.T) {
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc // nil: nobody listens
		want    bool
	}{
		"nobody listens":    {nil, false},
		"cut":               {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		"gateway timeout":   {status(http.StatusGatewayTimeout, ""), true},
		"proxy unavailable": {status(http.StatusServiceUnavailable, "<html>"), true},
		"server failed":     {status(http.StatusInternalServerError, errorDocument("InternalError")), true},
		"slow down":         {status(http.StatusServiceUnavailable, errorDocument("SlowDown")), false},
		"denied":            {status(http.StatusForbidden, errorDocument("AccessDenied")), false},
		"changed":           {status(http.StatusPreconditionFailed, errorDocument("PreconditionFailed")), false},
	} {
		t.Run(name, func(t *testing.T) {
			var endpoint string
			if c.handler != nil {
				server := httptest.NewServer(c.handler)
				defer server.Close()
				endpoint = server.URL
			} else {
				endpoint = "http://" + ports.Address(t)
			}
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			account, err := s3.New(s3.Config{Endpoint: endpoint, AccessKeyID: "a", SecretAccessKey: "b", PathStyle: true, HTTPClient: client})
			if err != nil {
				t.Fatal(err)
			}
			b := account.Bucket("bucket")
			if err := b.Delete(t.Context(), "key", "tag"); err == nil || provider.MayStillAct(err) != c.want {
				t.Errorf("single: %v; may still act: %v", err, !c.want)
			}
			if err := b.DeleteBatch(t.Context(), []provider.Deletion{{Key: "key"}})[0]; err == nil || provider.MayStillAct(err) != c.want {
				t.Errorf("batch: %v; may still act: %v", err, !c.want)
			}
		})
	}
}
