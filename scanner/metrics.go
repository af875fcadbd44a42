package scanner

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	running prometheus.Gauge
	syncs   *prometheus.CounterVec
	took    prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firescan_syncs_running", Help: "Syncs that this node coordinates.",
		}),
		syncs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firescan_syncs_total", Help: "Ended syncs that this node coordinated, by status.",
		}, []string{"status"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "firescan_sync_seconds", Help: "Duration of completed syncs in seconds.",
			Buckets: prometheus.ExponentialBuckets(0.25, 2, 16),
		}),
	}
	r.MustRegister(m.running, m.syncs, m.took)
	for _, status := range []string{"completed", "failed", "cancelled"} {
		m.syncs.WithLabelValues(status)
	}
	return m
}

func (m *metrics) ended(status string, took time.Duration) {
	m.syncs.WithLabelValues(status).Inc()
	if status == "completed" {
		m.took.Observe(took.Seconds())
	}
}
