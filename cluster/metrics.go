package cluster

import (
	"fmt"
	"strconv"
	"time"

	gometrics "github.com/hashicorp/go-metrics"
	gometricsprom "github.com/hashicorp/go-metrics/prometheus"
	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
)

// collector shows, as firescan_cluster_…, the state of one raft, read from it when Prometheus asks.
type collector struct {
	raft   *raft.Raft
	leader *prometheus.Desc
	gauges []gauge
}

type gauge struct {
	desc *prometheus.Desc
	stat string
}

func newCollector(r *raft.Raft) *collector {
	c := &collector{raft: r, leader: prometheus.NewDesc("firescan_cluster_leader", "1 while this node leads.", nil, nil)}
	for _, g := range []struct{ name, stat, help string }{
		{"term", "term", "Newest term that this node has seen."},
		{"last_log_index", "last_log_index", "Index of the newest entry of the log."},
		{"commit_index", "commit_index", "Index of the newest entry known to be committed."},
		{"fsm_pending", "fsm_pending", "Committed entries that wait to be applied."},
		{"peers", "num_peers", "Other voting members."},
		{"last_snapshot_index", "last_snapshot_index", "Index up to which the log was compacted."},
	} {
		c.gauges = append(c.gauges, gauge{prometheus.NewDesc("firescan_cluster_"+g.name, g.help, nil, nil), g.stat})
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.leader
	for _, g := range c.gauges {
		out <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	leads := 0.0
	if c.raft.State() == raft.Leader {
		leads = 1
	}
	out <- prometheus.MustNewConstMetric(c.leader, prometheus.GaugeValue, leads)
	stats := c.raft.Stats()
	for _, g := range c.gauges {
		if v, err := strconv.ParseFloat(stats[g.stat], 64); err == nil {
			out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v)
		}
	}
}

// register shows the state of r, and what raft counts and times, until the answered
// function is called. Raft counts into go-metrics' one global instance: with two
// nodes in a process, the newest shows what both do, and each its own state.
func register(registerer prometheus.Registerer, r *raft.Raft) (func(), error) {
	state := newCollector(r)
	if err := registerer.Register(state); err != nil {
		return nil, fmt.Errorf("register the metrics of raft: %w", err)
	}
	sink, err := gometricsprom.NewPrometheusSinkFrom(gometricsprom.PrometheusOpts{Registerer: registerer, Expiration: time.Hour})
	if err == nil {
		conf := gometrics.DefaultConfig("firescan")
		conf.EnableHostname, conf.EnableRuntimeMetrics = false, false
		_, err = gometrics.NewGlobal(conf, sink)
	}
	if err != nil {
		registerer.Unregister(state)
		return nil, fmt.Errorf("register the metrics of raft: %w", err)
	}
	return func() {
		registerer.Unregister(state)
		registerer.Unregister(sink)
	}, nil
}
