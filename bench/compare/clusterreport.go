package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"firescan/bench/bucketserver"
)

// page is how many keys a provider lists at most in one page.
const page = 1000

// rerun is the command that measured, with the flags that matter.
func (b *bench) rerun(flags string) string {
	return fmt.Sprintf("make bench BENCH='-only firescan -scenarios cluster -keys %d %s'", b.keys, flags)
}

func (b *bench) reportScaleOut(scans []clusterScan) {
	sizes := b.sizes.String()
	flags := fmt.Sprintf("-cluster-sizes %s -cluster-layouts %s -cluster-latency %v -scan-streams %d", sizes, b.clusterLayouts.String(), b.clusterLatency, b.scanStreams)
	commands := []string{
		b.rerun(flags), b.groupCommand("N"),
		"POST /api/v1/storage/sync; startedAt to finishedAt; /proc/PID/stat of all nodes; GET /-/counts of the bucket's server",
	}
	t := scaleTable(scans)
	t.commands = commands
	right := "Counts of files, orphans and missing backups and all sums are right after each scan"
	if b.check {
		right += ", and all files that were read back after the second"
	}
	right += "."
	pages := (scans[0].files + page - 1) / page
	var bounds []string
	for _, n := range b.sizes {
		bounds = append(bounds, fmt.Sprintf("%v on %d", round(bound(pages, n*b.scanStreams, b.clusterLatency)), n))
	}
	b.report.add("cluster scale-out", fmt.Sprintf("Clusters scan %s keys, %v a page, %d streams a node", thousands(b.keys), b.clusterLatency, b.scanStreams), t,
		fmt.Sprintf("A list has %d keys at most, so the least is %s lists; their latency alone takes %s.", page, thousands(pages), strings.Join(bounds, ", ")),
		"*Listed* is when the bucket's server answered the last list, *promoted* when all nodes serve the result; speed-up is that of the latter over one node.",
		fmt.Sprintf("*Cores busy* are those that all nodes and the bucket's server took on average until all copies were whole, of %d.", runtime.NumCPU()),
		right)

	t = trafficTable(scans)
	t.commands = []string{b.rerun(flags), "GET /metrics of each node: firescan_replica_bytes_total, firescan_destination_replicas"}
	b.report.add("cluster replicas", fmt.Sprintf("Copies between nodes, %s keys", thousands(b.keys)), t,
		"A shard lies on three nodes, where there are as many. Each fetches the segments that others have listed, while the scan runs.",
		"*Index* is the size of all segments, each once. *Whole* is when all copies were seen to be, after the promotion.")
}

// bound is how long so many pages take on so many streams when only their latency counts.
func bound(pages uint64, streams int, latency time.Duration) time.Duration {
	return time.Duration((pages+uint64(streams)-1)/uint64(streams)) * latency
}

func scaleTable(scans []clusterScan) table {
	t := table{head: []string{"layout", "scan", "nodes", "listed", "promoted", "speed-up", "of ideal", "lists", "CPU of all nodes", "server's CPU", "cores busy"}}
	for _, which := range []string{"first", "second"} {
		for _, s := range scans {
			if s.which != which {
				continue
			}
			speed, ideal := "–", "–"
			if up, ok := speedUp(scans, s); ok {
				speed, ideal = fmt.Sprintf("%.2f", up), fmt.Sprintf("%.0f %%", 100*up/float64(s.nodes))
			}
			t.rows = append(t.rows, []string{
				string(s.layout), s.which, fmt.Sprint(s.nodes), round(s.listing).String(), round(s.wall).String(), speed, ideal, thousands(s.lists),
				round(s.cpu).String(), round(s.server).String(), fmt.Sprintf("%.1f", (s.cpu+s.server).Seconds()/(s.wall+max(0, s.whole)).Seconds()),
			})
		}
	}
	slices.SortStableFunc(t.rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return t
}

// speedUp is how much faster a scan was than the same on one node.
func speedUp(scans []clusterScan, s clusterScan) (float64, bool) {
	i := slices.IndexFunc(scans, func(o clusterScan) bool { return o.nodes == 1 && o.layout == s.layout && o.which == s.which })
	if i < 0 || s.wall <= 0 {
		return 0, false
	}
	return scans[i].wall.Seconds() / s.wall.Seconds(), true
}

func trafficTable(scans []clusterScan) table {
	t := table{head: []string{"layout", "scan", "nodes", "index", "copied in all", "bytes a file", "times the index", "by one node", "whole"}}
	for _, s := range scans {
		if s.nodes == 1 {
			continue
		}
		var all uint64
		for _, c := range s.copied {
			all += c
		}
		whole := "at the promotion"
		if s.whole > 2*look+20*time.Millisecond {
			whole = round(s.whole).String() + " later"
		}
		t.rows = append(t.rows, []string{
			string(s.layout), s.which, fmt.Sprint(s.nodes), kib(s.index), kib(all), fmt.Sprintf("%.1f", float64(all)/float64(s.files)),
			fmt.Sprintf("%.2f", float64(all)/float64(s.index)), kib(slices.Min(s.copied)) + " to " + kib(slices.Max(s.copied)), whole,
		})
	}
	return t
}

func kib(bytes uint64) string { return thousands((bytes+512)/1024) + " KiB" }

func (b *bench) reportFailover(layout bucketserver.Layout, files uint64, scans []disturbed) {
	t := failoverTable(files, scans)
	t.commands = []string{
		b.rerun(fmt.Sprintf("-cluster-sizes \"\" -cluster-layouts %s -kills %d -failover-latency %v -scan-streams %d", layout, b.kills, b.failoverLatency, b.scanStreams)),
		b.groupCommand(fmt.Sprint(failoverNodes)),
		"kill -9; PUT /api/v1/catalog/projects/proj_alive to the other nodes at once, until one answers 200",
	}
	b.report.add("cluster failover", fmt.Sprintf("Nodes killed in mid-scan: %d nodes, %s keys, %s layout, %v a page", failoverNodes, thousands(b.keys), layout, b.failoverLatency), t,
		fmt.Sprintf("Median and most. A node was killed when from %.0f to %.0f %% of the keys were listed, and started again after the scan.", 100*spot(0, int(b.kills)), 100*spot(int(b.kills)-1, int(b.kills))),
		"*Sent again* is what the bucket's server sent beyond what it sent for the median of the scans in peace, as a share of the bucket's keys: what was lost with the node, and the ends of pages that reach over where ranges were parted anew.",
		"After each scan all files were read back: path, size, time and link of each are those of a scan in peace.")
}

func failoverTable(files uint64, scans []disturbed) table {
	t := table{head: []string{"killed", "scans", "a write is answered after", "start to promotion", "longer than in peace", "sent again"}}
	var peace latencies
	var sent []uint64
	for _, d := range of(scans, "nobody") {
		peace, sent = append(peace, d.took), append(sent, d.keys)
	}
	slices.Sort(peace)
	slices.Sort(sent)
	for _, victim := range []string{"nobody", "leader", "worker"} {
		var writable, took latencies
		var again []float64
		for _, d := range of(scans, victim) {
			writable, took = append(writable, d.writable), append(took, d.took)
			again = append(again, 100*(float64(d.keys)-float64(sent[len(sent)/2]))/float64(files))
		}
		slices.Sort(writable)
		slices.Sort(took)
		slices.Sort(again)
		if len(took) == 0 {
			continue
		}
		answered, longer := "", ""
		if victim != "nobody" {
			answered = writable.spread(0)
			longer = took.spread(peace.quantile(0.5))
		}
		t.rows = append(t.rows, []string{
			victim, fmt.Sprint(len(took)), answered, took.spread(0), longer,
			fmt.Sprintf("%.1f %%, %.1f %%", again[len(again)/2], again[len(again)-1]),
		})
	}
	return t
}

// spread tells the median and the most, each less a base.
func (l latencies) spread(base time.Duration) string {
	return fmt.Sprintf("%v, %v", round(l.quantile(0.5)-base), round(l.quantile(1)-base))
}
