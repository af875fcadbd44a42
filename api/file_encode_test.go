package api

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"

	"firescan/catalog"
	"firescan/index"
)

// FuzzFileRows compares our rows with the standard library's readers, and our JSON
// strings with its writer.
func FuzzFileRows(f *testing.F) {
	f.Add("backups/a b.backup", "bkp_1", "App")
	f.Add("q\"uote,\r\n\x00\x1f\x7f\\", "", "=1+1")
	f.Add("\xff\xc3\x28\xed\xa0\x80\xf4\x90\x80\x80", "\xe9", "\u2028é日\U0001f600\ufffd")
	f.Add("cut \xf0\x9f\x98", " ", "\r")
	f.Add("-1+cmd|' /C calc'!A0", "@SUM(1)", "\t=1")
	f.Fuzz(func(t *testing.T, path, backup, project string) {
		if backup == "" {
			return // no file has such fields
		}
		e := &index.Entry{Path: []byte(path), Size: 7, ModTime: 1_705_312_845_000, Type: index.Meta, Linked: true}
		b := catalog.Owner{BackupID: backup, ProjectID: "proj_1"}

		var got, want any
		if err := json.Unmarshal(appendFileJSON(nil, e, b, project), &got); err != nil {
			t.Fatalf("%q is written as no JSON: %v", path, err)
		}
		fields := map[string]any{
			"path": path, "size": "7", "lastModified": "2024-01-15T10:00:45.000Z", "backupId": backup, "projectId": "proj_1", "type": "meta", "isOrphan": false,
		}
		if project != "" {
			fields["projectName"] = project
		}
		text, err := json.Marshal(fields)
		if err != nil || json.Unmarshal(text, &want) != nil {
			t.Fatal(err)
		}
		gotText, _ := json.Marshal(got)
		if wantText, _ := json.Marshal(want); !bytes.Equal(gotText, wantText) {
			t.Errorf("written as %s, want %s", gotText, wantText)
		}

		// encoding/csv documents that it reads \r\n within quotes as \n.
		norm := func(s string) string {
			if s != "" && strings.ContainsAny(s[:1], "=+-@\t\r") {
				s = "'" + s
			}
			return strings.ReplaceAll(s, "\r\n", "\n")
		}
		rows, err := csv.NewReader(bytes.NewReader(appendFileCSV([]byte(csvHeader), e, b, project))).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%q is written as %q: %v", path, rows, err)
		}
		for i, cell := range []string{path, "7", "2024-01-15T10:00:45.000Z", backup, "proj_1", project, "meta", "false"} {
			if rows[1][i] != norm(cell) {
				t.Errorf("cell %d of %q is read as %q", i, cell, rows[1][i])
			}
		}
	})
}
