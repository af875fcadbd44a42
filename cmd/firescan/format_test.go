package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 9949: "9.9 kB", 9950: "10 kB", 12_345: "12 kB", 999_499: "999 kB",
		999_500: "1.0 MB", 6_200_000: "6.2 MB", 1 << 62: "4.6 EB",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
	if got := sizeText("6200000"); got != "6.2 MB" {
		t.Errorf("a size in a string: %q", got)
	}
	if got := sizeText("n/a"); got != "n/a" {
		t.Errorf("no size: %q", got)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 100000: "100,000"} {
		if got := count(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestPathsDoNotDisturbTheTerminal(t *testing.T) {
	for in, want := range map[string]string{
		"a b/ä+%.backup": "a b/ä+%.backup", "a\x1b[2J": `"a\x1b[2J"`, "a\nb": `"a\nb"`, "": "",
	} {
		if got := pathText(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	if err := table(&out, "A LONG", func(row func(...any)) {
		row("alpha", 1)
		row("b", 22)
	}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "A      LONG\nalpha  1\nb      22\n"; got != want {
		t.Errorf("table:\n%swant:\n%s", got, want)
	}
}

func TestWhenAndProgress(t *testing.T) {
	at := time.Date(2024, 1, 15, 10, 0, 45, 0, time.UTC)
	if when(nil) != "-" || when(&at) != "2024-01-15 10:00:45Z" {
		t.Errorf("%q, %q", when(nil), when(&at))
	}
	eta := 90.0
	text := progressText(progress{FilesScanned: 1500, FilesPerSecond: 2500.7, ETASeconds: &eta})
	if !strings.Contains(text, "1,500 files") || !strings.Contains(text, "2,500/s") || !strings.Contains(text, "1m30s left") {
		t.Errorf("progress %q", text)
	}
}
