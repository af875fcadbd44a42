package api

import (
	"fmt"
	"strings"

	"firescan/deletion"
)

// guardData is a guard that the plan of a cleanup meets.
type guardData struct {
	Guard    string   `json:"guard"`
	Saw      string   `json:"saw"`
	Limit    string   `json:"limit"`
	Examples []string `json:"examples"`
	GoOn     string   `json:"howToGoOn"`
}

func showGuards(guards []deletion.Guard) []guardData {
	all := []guardData{}
	for _, g := range guards {
		all = append(all, guardData{g.Name, g.Saw, g.Limit, append([]string{}, g.Examples...), g.GoOn + "; or confirm the plan"})
	}
	return all
}

// skippedData are files that a cleanup leaves.
type skippedData struct {
	TooYoung    uint64 `json:"tooYoung"`
	UnknownType uint64 `json:"unknownType"`
	// KeptForOthers are files that only records of other organizations keep. They are counted
	// and not named.
	KeptForOthers uint64 `json:"keptForOthers"`
	// ResemblesMissing are those that may be files of missing backups.
	ResemblesMissing uint64   `json:"resemblesMissing"`
	Examples         []string `json:"resemblesMissingExamples"`
	// Retained is the number of orphans under retention or a hold.
	Retained uint64 `json:"retained"`
}

func showSkipped(r deletion.Resembling, s deletion.Skipped) skippedData {
	return skippedData{
		TooYoung: s.TooYoung, UnknownType: s.UnknownType, KeptForOthers: s.KeptForOthers,
		ResemblesMissing: r.Files, Examples: append([]string{}, r.Examples...),
	}
}

// planError returns the error of a cleanup whose plan must be confirmed first.
func planError(e *deletion.PlanError) *Error {
	refused := &Error{Code: CodeCleanupTooLarge, Err: e, Details: struct {
		Files   uint64      `json:"files"`
		Orphans uint64      `json:"orphans"`
		Hash    string      `json:"planHash"`
		Guards  []guardData `json:"guards"`
	}{e.Of, e.Files, e.Hash, showGuards(e.Guards)}}
	const confirm = "; check the plan with dryRun=true, then call again with confirm=<planHash>"
	if e.Confirmed {
		refused.Code = CodeConflict
		refused.Message = fmt.Sprintf("The orphans or the guards have changed since the plan was confirmed: the cleanup would now delete %d of %d files", e.Files, e.Of) + confirm
		return refused
	}
	var saw []string
	for _, g := range e.Guards {
		saw = append(saw, g.Saw)
	}
	refused.Message = fmt.Sprintf("The cleanup would delete %d of %d files and must be confirmed: %s", e.Files, e.Of, strings.Join(saw, "; ")) + confirm
	return refused
}
