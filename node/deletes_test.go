package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"firescan/api"
	"firescan/catalog"
	"firescan/deletion"
)

// What keeps a file from being deleted has a code of the API; what has one already stays
// what it is.
func TestDeleteErrorsAreAnswerable(t *testing.T) {
	for err, code := range map[error]api.Code{
		deletion.ErrNotThere: api.CodeFileNotFound, deletion.ErrChanged: api.CodeConflict, deletion.ErrUnsettled: api.CodeProvider,
		deletion.ErrRecordKept: api.CodeNoLeader, deletion.ErrNeverSynced: api.CodeConflict, deletion.ErrStopping: api.CodeNoLeader,
	} {
		told, ok := errors.AsType[*api.Error](deleteError(fmt.Errorf("wrapped: %w", err)))
		if !ok || told.Code != code || told.Message == "" || !errors.Is(told, err) {
			t.Errorf("%v is told as %v", err, told)
		}
	}
	for _, same := range []error{nil, catalog.ErrNotOrphan, api.ErrNoLeader, context.Canceled} {
		if err := deleteError(same); !errors.Is(err, same) || err != nil && err.Error() != same.Error() {
			t.Errorf("%v became %v", same, err)
		}
	}
	for name, c := range map[string]struct {
		plan deletion.PlanError
		code api.Code
		says string
	}{
		"too large": {deletion.PlanError{Plan: deletion.Plan{Hash: "abc", Files: 3, Of: 4}}, api.CodeCleanupTooLarge, "3 of 4 files, more than half"},
		"unknown":   {deletion.PlanError{Plan: deletion.Plan{Hash: "abc", Files: 3, Of: 9, Unknown: true}}, api.CodeCleanupTooLarge, "No backup is known"},
		"another":   {deletion.PlanError{Plan: deletion.Plan{Hash: "abc", Files: 3, Of: 9}, Confirmed: true}, api.CodeConflict, "3 of 9 files"},
	} {
		told, ok := errors.AsType[*api.Error](deleteError(fmt.Errorf("wrapped: %w", &c.plan)))
		if !ok || told.Code != c.code || !strings.Contains(told.Message, c.says) {
			t.Errorf("%s: told as %v", name, told)
			continue
		}
		if details, err := json.Marshal(told.Details); err != nil || !strings.Contains(string(details), `"planHash":"abc"`) || !strings.Contains(string(details), `"orphans":3`) {
			t.Errorf("%s: details %s, %v", name, details, err)
		}
	}
}
