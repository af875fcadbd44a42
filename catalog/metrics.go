package catalog

import (
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a catalog. A nil *metrics measures nothing.
type metrics struct {
	registerer prometheus.Registerer
	entries    prometheus.Histogram
	seconds    prometheus.Histogram
	registered []prometheus.Collector
}

func newMetrics(r prometheus.Registerer, path string, appliedIndex func() uint64) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &metrics{
		registerer: r,
		entries: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "firescan_catalog_apply_batch_entries",
			Help:    "Log entries applied in one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "firescan_catalog_apply_seconds",
			Help:    "Time to apply one batch of log entries and make it durable.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
	}
	for _, x := range []prometheus.Collector{
		m.entries, m.seconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "firescan_catalog_applied_index",
			Help: "Index of the last log entry that the catalog has applied.",
		}, func() float64 { return float64(appliedIndex()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "firescan_catalog_file_bytes",
			Help: "Size of the catalog file, free pages included.",
		}, func() float64 {
			info, err := os.Stat(path)
			if err != nil {
				return 0
			}
			return float64(info.Size())
		}),
	} {
		if err := r.Register(x); err != nil {
			m.unregister()
			return nil, err
		}
		m.registered = append(m.registered, x)
	}
	return m, nil
}

func (m *metrics) observe(entries int, took time.Duration) {
	if m != nil {
		m.entries.Observe(float64(entries))
		m.seconds.Observe(took.Seconds())
	}
}

// unregister allows another catalog of the process to register.
func (m *metrics) unregister() {
	if m != nil {
		for _, x := range m.registered {
			m.registerer.Unregister(x)
		}
	}
}
