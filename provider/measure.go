package provider

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count the calls to providers. Labels name the provider's type, never a
// bucket, so that their number does not grow with the customers.
type Metrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	keys    *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them, once for a process.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firescan_provider_calls_total",
			Help: "Calls to object storage providers by outcome: ok, cancelled, or the kind of failure.",
		}, []string{"provider", "op", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "firescan_provider_call_seconds",
			Help:    "Duration of calls to object storage providers, cancelled ones left out.",
			Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"provider", "op"}),
		keys: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firescan_provider_listed_keys_total",
			Help: "Keys that providers listed, folder placeholders included.",
		}, []string{"provider"}),
	}
	for _, c := range []prometheus.Collector{m.calls, m.seconds, m.keys} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Measure makes a bucket whose calls are counted and timed under the name of the
// provider's type, such as "S3".
func Measure(b Bucket, m *Metrics, providerType string) Bucket {
	run := func(ctx context.Context, op string, do func(context.Context) error) error {
		began := time.Now()
		err := do(ctx)
		outcome := outcomeOf(err)
		m.calls.WithLabelValues(providerType, op, outcome).Inc()
		if outcome != cancelled {
			m.seconds.WithLabelValues(providerType, op).Observe(time.Since(began).Seconds())
		}
		return err
	}
	return measured{wrapper{b, run}, m.keys.WithLabelValues(providerType)}
}

const cancelled = "cancelled"

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled):
		return cancelled
	}
	return KindOf(err).String()
}

type measured struct {
	wrapper
	keys prometheus.Counter
}

func (m measured) ListSerial(ctx context.Context, prefix, token string, page *Page) (string, error) {
	next, err := m.wrapper.ListSerial(ctx, prefix, token, page)
	if err == nil {
		m.keys.Add(float64(len(page.Objects)))
	}
	return next, err
}

func (m measured) List(ctx context.Context, req ListRequest, page *Page) error {
	err := m.wrapper.List(ctx, req, page)
	if err == nil {
		m.keys.Add(float64(len(page.Objects) + page.Skipped))
	}
	return err
}
