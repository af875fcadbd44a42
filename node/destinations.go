package node

import (
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/replica"
)

// destinations collects metrics of destinations as of their last syncs. A scrape reads some
// hundred bytes for each destination. All nodes export the same values: queries use the
// maximum over nodes.
type destinations struct {
	catalog *catalog.Catalog
	log     *slog.Logger

	files, bytes, orphans, missing, unsearched, backups *prometheus.Desc
	synced, failed, verified                            *prometheus.Desc
	replicas, wanted                                    *prometheus.Desc
	feed, refused                                       *prometheus.Desc // by organization
	// nodes returns the number of nodes in the cluster.
	nodes func() int
}

func newDestinations(c *catalog.Catalog, nodes func() int, log *slog.Logger) *destinations {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("firescan_destination_"+name, help, []string{"organization", "destination"}, nil)
	}
	ofFeed := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("firescan_feed_"+name, help, []string{"organization"}, nil)
	}
	return &destinations{
		catalog: c, log: log, nodes: nodes,
		files:      desc("files", "Files that the last completed sync found."),
		bytes:      desc("bytes", "Size of the files that the last completed sync found, in bytes."),
		orphans:    desc("orphan_files", "Orphaned files of the last completed sync."),
		missing:    desc("missing_backups", "Backup records with a file that the last completed sync did not find."),
		unsearched: desc("not_looked_for_backups", "Backup records with a file where the last completed sync did not look."),
		backups:    desc("backups", "Backup records of the destination."),
		synced:     desc("synced_timestamp_seconds", "When the last completed sync began, in Unix time; 0 before the first."),
		failed:     desc("sync_failed", "1 when the newest sync failed."),
		verified:   desc("verified", "1 when the destination was verified with its current settings."),
		replicas:   desc("replicas", "Nodes that hold the whole index of the last completed sync."),
		feed:       ofFeed("incomplete", "1 while the feed of an organization is incomplete, so that cleanups must be confirmed."),
		refused:    ofFeed("refused_records", "Records that imports of an organization had refused and that were not stored since."),
		wanted:     desc("replicas_wanted", "Nodes that should hold the index of the last completed sync; 0 before the first."),
	}
}

// Describe implements prometheus.Collector.
func (d *destinations) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{d.files, d.bytes, d.orphans, d.missing, d.unsearched, d.backups, d.synced, d.failed, d.verified, d.replicas, d.wanted, d.feed, d.refused} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (d *destinations) Collect(to chan<- prometheus.Metric) {
	err := d.catalog.View(func(tx *catalog.Tx) error {
		all, err := tx.AllDestinations()
		for _, destination := range all {
			err = errors.Join(err, d.collect(to, tx, destination))
		}
		feeds, failed := tx.FeedStates()
		for org, f := range feeds {
			to <- prometheus.MustNewConstMetric(d.feed, prometheus.GaugeValue, truth(catalog.FeedIncomplete(f)), org)
			to <- prometheus.MustNewConstMetric(d.refused, prometheus.GaugeValue, float64(catalog.RefusedCount(f)), org)
		}
		return errors.Join(err, failed)
	})
	if err != nil {
		d.log.Warn("reading the metrics of destinations failed", "error", err)
	}
}

func (d *destinations) collect(to chan<- prometheus.Metric, tx *catalog.Tx, of *pb.Destination) error {
	generation, err := tx.Generation(of.Id)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	last, err := tx.LastSync(of.Org, of.Id)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	counters, err := tx.Counters(of.Org, of.Id)
	if err != nil {
		return err
	}
	missing, unsearched, err := tx.MissingBackups(of)
	if err != nil {
		return err
	}
	held, err := tx.Holders(of.Id)
	if err != nil {
		return err
	}
	replicas, wanted := 0, 0
	for _, h := range held {
		if h.Generation == generation.GetId() {
			replicas++
		}
	}
	if generation != nil {
		wanted = min(replica.Copies, d.nodes())
	}
	for _, m := range []struct {
		desc  *prometheus.Desc
		value float64
	}{
		{d.files, float64(generation.GetFiles())},
		{d.bytes, float64(generation.GetBytes())},
		{d.orphans, float64(generation.GetOrphans())},
		{d.missing, float64(missing)},
		{d.unsearched, float64(unsearched)},
		{d.backups, float64(counters.Backups)},
		{d.synced, float64(generation.GetStartedAt()) / 1000},
		{d.failed, truth(last.GetStatus() == catalog.SyncFailed)},
		{d.verified, truth(of.Verified)},
		{d.replicas, float64(replicas)},
		{d.wanted, float64(wanted)},
	} {
		to <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value, of.Org, of.Id)
	}
	return nil
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
