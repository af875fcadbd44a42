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

// collector collects the firescan_cluster_… metrics of one node.
type collector struct {
	raft      *raft.Raft
	members   *members
	leader    *prometheus.Desc
	hasLeader *prometheus.Desc
	count     *prometheus.Desc
	gauges    []gauge
}

type gauge struct {
	desc *prometheus.Desc
	stat string
}

func newCollector(r *raft.Raft, m *members) *collector {
	c := &collector{
		raft: r, members: m,
		leader:    prometheus.NewDesc("firescan_cluster_leader", "1 while this node leads.", nil, nil),
		hasLeader: prometheus.NewDesc("firescan_cluster_has_leader", "1 while this node knows a leader.", nil, nil),
		count:     prometheus.NewDesc("firescan_cluster_members", "Members of the cluster by vote and by state in gossip.", []string{"vote", "state"}, nil),
	}
	for _, g := range []struct{ name, stat, help string }{
		{"term", "term", "Newest Raft term that this node has seen."},
		{"last_log_index", "last_log_index", "Index of the newest log entry."},
		{"commit_index", "commit_index", "Index of the newest log entry known to be committed."},
		{"fsm_pending", "fsm_pending", "Committed log entries that are not applied yet."},
		{"peers", "num_peers", "Other voters."},
		{"last_snapshot_index", "last_snapshot_index", "Index of the newest snapshot."},
	} {
		c.gauges = append(c.gauges, gauge{prometheus.NewDesc("firescan_cluster_"+g.name, g.help, nil, nil), g.stat})
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.leader
	out <- c.hasLeader
	out <- c.count
	for _, g := range c.gauges {
		out <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	_, leader := c.raft.LeaderWithID()
	out <- prometheus.MustNewConstMetric(c.leader, prometheus.GaugeValue, boolValue(c.raft.State() == raft.Leader))
	out <- prometheus.MustNewConstMetric(c.hasLeader, prometheus.GaugeValue, boolValue(leader != ""))
	type kind struct{ vote, state string }
	// All kinds are present, so that one without members is 0.
	counts := map[kind]float64{{"voter", StateAlive}: 0, {"voter", StateDead}: 0, {"nonvoter", StateAlive}: 0, {"nonvoter", StateDead}: 0}
	for _, p := range c.members.peers(string(leader)) {
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
		out <- prometheus.MustNewConstMetric(c.count, prometheus.GaugeValue, n, k.vote, k.state)
	}
	stats := c.raft.Stats()
	for _, g := range c.gauges {
		if v, err := strconv.ParseFloat(stats[g.stat], 64); err == nil {
			out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v)
		}
	}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// register registers the state of this node, and the metrics of Raft, and returns the
// function that unregisters them. Raft counts into go-metrics' global instance: with two nodes
// in a process, the newest shows the counts of both, and each its own state.
func register(registerer prometheus.Registerer, r *raft.Raft, m *members) (unregister func(), err error) {
	state := newCollector(r, m)
	if err := registerer.Register(state); err != nil {
		return nil, fmt.Errorf("register the metrics of Raft: %w", err)
	}
	sink, err := gometricsprom.NewPrometheusSinkFrom(gometricsprom.PrometheusOpts{Registerer: registerer, Expiration: time.Hour})
	if err == nil {
		conf := gometrics.DefaultConfig("firescan")
		conf.EnableHostname, conf.EnableRuntimeMetrics = false, false
		_, err = gometrics.NewGlobal(conf, sink)
	}
	if err != nil {
		registerer.Unregister(state)
		return nil, fmt.Errorf("register the metrics of Raft: %w", err)
	}
	return func() {
		registerer.Unregister(state)
		registerer.Unregister(sink)
	}, nil
}
