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

// collector shows, as firescan_cluster_…, the state of one node, read from it when Prometheus asks.
type collector struct {
	cluster *Cluster
	leader  *prometheus.Desc
	known   *prometheus.Desc
	members *prometheus.Desc
	gauges  []gauge
}

type gauge struct {
	desc *prometheus.Desc
	stat string
}

func newCollector(cl *Cluster) *collector {
	c := &collector{
		cluster: cl,
		leader:  prometheus.NewDesc("firescan_cluster_leader", "1 while this node leads.", nil, nil),
		known:   prometheus.NewDesc("firescan_cluster_has_leader", "1 while this node knows a leader.", nil, nil),
		members: prometheus.NewDesc("firescan_cluster_members", "Members of the group by vote and by whether gossip hears of them.", []string{"vote", "state"}, nil),
	}
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
	out <- c.known
	out <- c.members
	for _, g := range c.gauges {
		out <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	_, leader := c.cluster.Leader()
	out <- prometheus.MustNewConstMetric(c.leader, prometheus.GaugeValue, one(c.cluster.raft.State() == raft.Leader))
	out <- prometheus.MustNewConstMetric(c.known, prometheus.GaugeValue, one(leader))
	type kind struct{ vote, state string }
	// All kinds are shown, so that one that vanishes is seen to be none.
	counts := map[kind]float64{{"voter", StateAlive}: 0, {"voter", StateDead}: 0, {"nonvoter", StateAlive}: 0, {"nonvoter", StateDead}: 0}
	for _, p := range c.cluster.Peers() {
		k := kind{"nonvoter", StateDead}
		if p.Voter {
			k.vote = "voter"
		}
		if p.Alive {
			k.state = StateAlive
		}
		counts[k]++
	}
	for k, n := range counts {
		out <- prometheus.MustNewConstMetric(c.members, prometheus.GaugeValue, n, k.vote, k.state)
	}
	stats := c.cluster.raft.Stats()
	for _, g := range c.gauges {
		if v, err := strconv.ParseFloat(stats[g.stat], 64); err == nil {
			out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v)
		}
	}
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// register shows the state of c, and what raft counts and times, until the answered
// function is called. Raft counts into go-metrics' one global instance: with two
// nodes in a process, the newest shows what both do, and each its own state.
func register(registerer prometheus.Registerer, c *Cluster) (func(), error) {
	state := newCollector(c)
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
