package deletion

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	files     *prometheus.CounterVec
	bytes     prometheus.Counter
	recovered prometheus.Counter
	open      prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		files: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firescan_deletes_total", Help: "Files that this node was asked to delete, by outcome.",
		}, []string{"outcome"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firescan_deleted_bytes_total", Help: "Total size of the files that this node deleted, in bytes.",
		}),
		recovered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firescan_delete_intents_resolved_total", Help: "Abandoned deletions that this node recovered as the leader.",
		}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firescan_delete_intents_open", Help: "Deletions under way or abandoned, as seen by the leader.",
		}),
	}
	r.MustRegister(m.files, m.bytes, m.recovered, m.open)
	for _, outcome := range []string{"deleted", "absent", "refused", "retained", "changed", "unsettled", "failed"} {
		m.files.WithLabelValues(outcome)
	}
	return m
}

func (m *metrics) count(candidates []*candidate) {
	for _, c := range candidates {
		o := c.outcome()
		m.files.WithLabelValues(o.label()).Inc()
		m.bytes.Add(float64(o.Size))
	}
}
