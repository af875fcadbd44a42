package provider_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"firescan/provider"
	"firescan/provider/mem"
)

func TestMeasure(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := provider.NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	a := mem.New(mem.Options{})
	a.Fill("bucket", 1, time.Now(), "a", "b", "c")
	b := provider.Measure(a.Bucket("bucket"), m, "S3")
	ctx := t.Context()
	_ = list(ctx, b)
	_, _ = b.Stat(ctx, "none")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_ = list(cancelled, b)

	want := `
# HELP firescan_provider_calls_total Calls to object storage providers by outcome: ok, cancelled, or the kind of failure.
# TYPE firescan_provider_calls_total counter
firescan_provider_calls_total{op="list",outcome="cancelled",provider="S3"} 1
firescan_provider_calls_total{op="list",outcome="ok",provider="S3"} 1
firescan_provider_calls_total{op="stat",outcome="not found",provider="S3"} 1
# HELP firescan_provider_listed_keys_total Keys that providers listed, folder placeholders included.
# TYPE firescan_provider_listed_keys_total counter
firescan_provider_listed_keys_total{provider="S3"} 3
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
		"firescan_provider_calls_total", "firescan_provider_listed_keys_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "firescan_provider_call_seconds"); n != 2 || err != nil {
		t.Errorf("%d durations observed, %v; want list and stat", n, err)
	}
	if _, err := provider.NewMetrics(registry); err == nil {
		t.Error("registered twice without an error")
	}
}

func TestComposePassesEverythingOn(t *testing.T) {
	m, err := provider.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	a := mem.New(mem.Options{}, "bucket")
	b := provider.Compose(a.Bucket("bucket"), "S3", provider.NewLimiter(provider.CeilingS3), m, provider.RetryOptions{}, provider.NewSerialMemory(provider.MaxSerialMemory))
	got, err := provider.Probe(t.Context(), b, "p/")
	if want := (provider.Permissions{Read: true, Write: true, Delete: true}); err != nil || got != want {
		t.Errorf("permissions %+v, %v", got, err)
	}
	_, err = b.Stat(t.Context(), "none")
	if provider.KindOf(err) != provider.NotFound {
		t.Errorf("error %v", err)
	}
}
