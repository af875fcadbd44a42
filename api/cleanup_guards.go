package api

import (
	"fmt"
	"strings"
	"time"

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
	TooYoung uint64 `json:"tooYoung"`
	// MinAge is the minimum age in seconds.
	MinAge      int64  `json:"minAgeSeconds"`
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

func showSkipped(r deletion.Resembling, s deletion.Skipped, age time.Duration) skippedData {
	return skippedData{
		TooYoung: s.TooYoung, MinAge: int64(age / time.Second), UnknownType: s.UnknownType, KeptForOthers: s.KeptForOthers,
		ResemblesMissing: r.Files, Examples: append([]string{}, r.Examples...),
	}
}

// note returns what follows the message of a cleanup: how many files it leaves, and why.
func (s *skippedData) note() string {
	age := AgeText(time.Duration(s.MinAge) * time.Second)
	note, separator := "", "; "
	for _, left := range []struct {
		n         uint64
		one, many string
	}{
		{s.TooYoung, "is younger than " + age, "are younger than " + age},
		{s.UnknownType, "is of unknown type", "are of unknown type"},
		{s.ResemblesMissing, "resembles a file of a missing backup", "resemble files of missing backups"},
		{s.KeptForOthers, "is needed by another organization", "are needed by other organizations"},
		{s.Retained, "is under retention or a hold", "are under retention or a hold"},
	} {
		switch left.n {
		case 0:
			continue
		case 1:
			note += separator + "1 " + left.one
		default:
			note += fmt.Sprintf("%s%d %s", separator, left.n, left.many)
		}
		separator = ", "
	}
	return note
}

// AgeText returns an age as the parameter minAge has it: 36h, 7d.
func AgeText(d time.Duration) string {
	if days := d / (24 * time.Hour); days > 1 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", days)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
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
