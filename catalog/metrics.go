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
	scrub      prometheus.Histogram
	registered []prometheus.Collector
}

func newMetrics(r prometheus.Registerer, c *Catalog) (*metrics, error) {
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
		scrub: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "firescan_catalog_scrub_seconds",
			Help:    "Time to compare the whole catalog file with its records.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 12),
		}),
	}
	for _, x := range []prometheus.Collector{
		m.entries, m.seconds, m.scrub,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "firescan_catalog_applied_index",
			Help: "Index of the last log entry that the catalog has applied.",
		}, func() float64 { return float64(c.AppliedIndex()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "firescan_catalog_damaged",
			Help: "1 while the catalog file of this node is known to be damaged: it deletes nothing and needs another copy.",
		}, func() float64 {
			if c.Damage() != nil {
				return 1
			}
			return 0
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "firescan_catalog_damages_total",
			Help: "How often damage was found in the catalog file of this node. Another node's copy may have replaced it since.",
		}, func() float64 { return float64(c.damages.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "firescan_catalog_scrubbed_timestamp_seconds",
			Help: "When the last scrub began that found the catalog file to be sound; 0 before the first.",
		}, func() float64 {
			if at := c.scrubs.last(); !at.IsZero() {
				return float64(at.Unix())
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "firescan_catalog_file_bytes",
			Help: "Size of the catalog file, free pages included.",
		}, func() float64 {
			info, err := os.Stat(c.path)
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

func (m *metrics) observeScrub(took time.Duration) {
	if m != nil {
		m.scrub.Observe(took.Seconds())
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
