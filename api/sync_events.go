package api

import (
	"firescan/catalog"
	"firescan/scanner"
)

// syncProgress is the data of the event storage:sync-progress.
type syncProgress struct {
	OrganizationID string   `json:"organizationId"`
	DestinationID  string   `json:"destinationId"`
	SyncID         string   `json:"syncId"`
	Status         string   `json:"status"`
	FilesScanned   uint64   `json:"filesScanned"`
	BytesScanned   uint64   `json:"bytesScanned"`
	OrphanFiles    uint64   `json:"orphanFiles"`
	Percent        float64  `json:"percent"`
	FilesPerSecond float64  `json:"filesPerSecond"`
	ETASeconds     *float64 `json:"etaSeconds"` // null while unknown
	RangesDone     int      `json:"rangesDone"`
	RangesTotal    int      `json:"rangesTotal"`
	Nodes          []string `json:"nodes"`
	Error          string   `json:"error,omitempty"` // why the sync failed
}

// SyncProgress returns the event storage:sync-progress.
func SyncProgress(p scanner.Progress) Event {
	var eta *float64
	if p.ETASeconds >= 0 {
		eta = &p.ETASeconds
	}
	return Event{Org: p.Org, Name: "storage:sync-progress", Key: p.SyncID, Last: p.Status != catalog.SyncRunning, Data: syncProgress{
		OrganizationID: p.Org, DestinationID: p.DestinationID, SyncID: p.SyncID, Status: p.Status,
		FilesScanned: p.FilesScanned, BytesScanned: p.BytesScanned, OrphanFiles: p.OrphanFiles,
		Percent: p.Percent, FilesPerSecond: p.FilesPerSecond, ETASeconds: eta,
		RangesDone: p.RangesDone, RangesTotal: p.RangesTotal, Nodes: append([]string{}, p.Nodes...), Error: p.Error,
	}}
}

// StatsUpdate returns the event storage:stats-update.
func StatsUpdate(org string, stats *StorageStats) Event {
	return Event{Org: org, Name: "storage:stats-update", Data: stats}
}
