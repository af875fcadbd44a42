package index

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a store. They are kept also without a registerer.
type metrics struct {
	segments prometheus.Gauge
	bytes    prometheus.Gauge
	blocks   prometheus.Counter
	corrupt  prometheus.Counter
	reg      prometheus.Registerer
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		segments: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firescan_index_segments_open", Help: "Sealed segments that are open for reading.",
		}),
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firescan_index_bytes", Help: "Size of the segments that are open for reading, in bytes.",
		}),
		blocks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firescan_index_blocks_read_total", Help: "Blocks that were read, by headers or whole.",
		}),
		corrupt: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firescan_index_corrupt_segments_total", Help: "Segments and manifests that were found damaged and set aside.",
		}),
		reg: reg,
	}
	if reg == nil {
		return m, nil
	}
	for i, c := range m.all() {
		if err := reg.Register(c); err != nil {
			for _, c := range m.all()[:i] {
				reg.Unregister(c)
			}
			return nil, errors.Join(errors.New("index: registering metrics"), err)
		}
	}
	return m, nil
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.segments, m.bytes, m.blocks, m.corrupt}
}

func (m *metrics) unregister() {
	if m.reg == nil {
		return
	}
	for _, c := range m.all() {
		m.reg.Unregister(c)
	}
}

func (m *metrics) open(size int64) {
	m.segments.Inc()
	m.bytes.Add(float64(size))
}

func (m *metrics) close(size int64) {
	m.segments.Dec()
	m.bytes.Sub(float64(size))
}
