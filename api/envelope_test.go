package api

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestStamps compares times with the standard library, both ways.
func TestStamps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// The years 0 to 9999.
		ms := rapid.Int64Range(-62167219200000, 253402300799999).Draw(t, "ms")
		want := time.UnixMilli(ms).UTC()
		data, err := json.Marshal(stamp(ms))
		if err != nil {
			t.Fatal(err)
		}
		if ms == 0 {
			if string(data) != "null" {
				t.Fatalf("no time is written as %s", data)
			}
			return
		}
		if reference := want.Format(`"2006-01-02T15:04:05.000Z"`); string(data) != reference {
			t.Fatalf("%d ms are written as %s, want %s", ms, data, reference)
		}
		var back stamp
		if err := json.Unmarshal(data, &back); err != nil || back != stamp(ms) {
			t.Fatalf("%s is read as %d, want %d (%v)", data, back, ms, err)
		}
	})
	for text, want := range map[string]stamp{
		`null`: 0, `"2024-01-15T12:00:00+02:00"`: 1705312800000, `"2024-01-15T10:00:00.9999999Z"`: 1705312800999,
		`""`: noTime, `"2024-01-15"`: noTime, `"1705312800"`: noTime, `"9999-12-31T23:59:59-01:00"`: noTime, `"0000-01-01T00:00:00+01:00"`: noTime,
	} {
		s := stamp(7)
		if err := json.Unmarshal([]byte(text), &s); err != nil || s != want {
			t.Errorf("%s is read as %d, want %d (%v)", text, s, want, err)
		}
	}
	var s stamp
	if json.Unmarshal([]byte(`7`), &s) == nil || json.Unmarshal([]byte(`{}`), &s) == nil {
		t.Error("a time was read from JSON that is not a string")
	}
}
