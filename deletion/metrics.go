package deletion

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
)

type deleteMetrics struct {
	files    *prometheus.CounterVec
	bytes    prometheus.Counter
	resolved prometheus.Counter
	open     prometheus.Gauge
}

func newDeleteMetrics(r prometheus.Registerer) *deleteMetrics {
	m := &deleteMetrics{
		files: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firescan_deletes_total", Help: "Files that this node was to delete, by what became of them.",
		}, []string{"outcome"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firescan_deleted_bytes_total", Help: "Size of the files that this node has deleted.",
		}),
		resolved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firescan_delete_intents_resolved_total", Help: "Deletions that were left open and settled by this node as leader.",
		}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firescan_delete_intents_open", Help: "Deletions that are under way or left open, as the leader sees them.",
		}),
	}
	r.MustRegister(m.files, m.bytes, m.resolved, m.open)
	for _, outcome := range []string{"deleted", "absent", "refused", "changed", "unsettled", "failed"} {
		m.files.WithLabelValues(outcome)
	}
	return m
}

func (m *deleteMetrics) count(candidates []*candidate) {
	for _, t := range candidates {
		o := t.Outcome()
		m.files.WithLabelValues(o.kind()).Inc()
		m.bytes.Add(float64(o.Size))
	}
}

// kind is the outcome as metrics name it.
func (o Outcome) kind() string {
	_, refused := errors.AsType[*catalog.Error](o.Err)
	switch {
	case o.Absent, errors.Is(o.Err, ErrNotThere):
		return "absent"
	case o.Deleted:
		return "deleted"
	case refused:
		return "refused"
	case errors.Is(o.Err, ErrChanged):
		return "changed"
	case errors.Is(o.Err, ErrUnsettled):
		return "unsettled"
	}
	return "failed"
}
