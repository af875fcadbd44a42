package s3

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestUnquoteUndoesURLEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := string(rapid.SliceOf(rapid.Byte()).Draw(t, "key"))
		// Blanks as '+', and as %20.
		plus := url.QueryEscape(key)
		for _, encoded := range []string{plus, strings.ReplaceAll(plus, "+", "%20")} {
			got, err := unquote([]byte(encoded))
			if err != nil || string(got) != key {
				t.Fatalf("unquote(%q) = %q, %v; want %q", encoded, got, err, key)
			}
		}
	})
}

func TestUnquoteRefuses(t *testing.T) {
	for _, text := range []string{"%", "a%", "a%4", "%zz", "%4g", "%%41", "a%-1"} {
		if got, err := unquote([]byte(text)); err == nil {
			t.Errorf("unquote(%q) = %q", text, got)
		}
	}
	if got, err := unquote([]byte("%e6%9C%aC")); err != nil || string(got) != "本" {
		t.Errorf("hexadecimal digits of either case: %q, %v", got, err)
	}
}

func TestModTimeAgreesWithTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(-62_135_596_800_000, 253_402_000_000_000).Draw(t, "at")).UTC()
		for _, layout := range []string{
			"2006-01-02T15:04:05Z", "2006-01-02T15:04:05.000Z", time.RFC3339, time.RFC3339Nano, "2006-01-02T15:04:05.000000-07:00",
		} {
			text := at.In(time.FixedZone("", 3600*2)).Format(layout)
			if layout[len(layout)-1] == 'Z' {
				text = at.Format(layout)
			}
			want, err := time.Parse(time.RFC3339, text)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := modTime([]byte(text)); err != nil || got != want.UnixMilli() {
				t.Fatalf("modTime(%q) = %d, %v; want %d", text, got, err, want.UnixMilli())
			}
		}
	})
}

func TestModTimeRefuses(t *testing.T) {
	for _, text := range []string{
		"", "2026-02-30T00:00:00Z", "2025-02-29T00:00:00.000Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-04-31T00:00:00.000Z",
		"2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01 00:00:00Z", "Mon, 02 Jan 2006 15:04:05 GMT",
		"2026-01-01T00:00:00.00aZ", "2026-01-01T00:00:00.000+", "1767225600",
	} {
		if got, err := modTime([]byte(text)); err == nil {
			t.Errorf("modTime(%q) = %d", text, got)
		}
	}
	if _, err := modTime([]byte("2024-02-29T00:00:00.000Z")); err != nil {
		t.Errorf("leap day: %v", err)
	}
}
