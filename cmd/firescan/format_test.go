package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 10_188: "9.9 KiB", 10_189: "10 KiB", 12_345: "12 KiB", 1<<20 - 513: "1023 KiB",
		1<<20 - 512: "1.0 MiB", 6_200_000: "5.9 MiB", 1 << 62: "4.0 EiB",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
	if got := sizeText("6200000"); got != "5.9 MiB" {
		t.Errorf("size as a string: %q", got)
	}
	if got := sizeText("n/a"); got != "n/a" {
		t.Errorf("invalid size: %q", got)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 100000: "100,000"} {
		if got := count(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestPathText(t *testing.T) {
	for in, want := range map[string]string{
		"a b/ä+%.backup": "a b/ä+%.backup", "a\x1b[2J": `"a\x1b[2J"`, "a\nb": `"a\nb"`, "": "",
	} {
		if got := pathText(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"all is well": "all is well", "a\nb\n": "a; b", "a\x1b[2J\tb": "a [2J b", "ä\u202e": "ä ", "": "",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
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
	out.Reset()
	if err := table(&out, "", func(row func(...any)) { row("id", 1) }); err != nil || out.String() != "id  1\n" {
		t.Errorf("without a header: %q, %v", out.String(), err)
	}
}

func TestWhenAndProgress(t *testing.T) {
	at := time.Date(2024, 1, 15, 10, 0, 45, 0, time.UTC)
	if when(time.Time{}) != "-" || when(at) != "2024-01-15 10:00:45Z" {
		t.Errorf("%q, %q", when(time.Time{}), when(at))
	}
	eta := 90.0
	text := progressText(progress{FilesScanned: 1500, FilesPerSecond: 2500.7, ETASeconds: &eta})
	if !strings.Contains(text, "1,500 files") || !strings.Contains(text, "2,500/s") || !strings.Contains(text, "1m30s left") {
		t.Errorf("progress %q", text)
	}
	for percent, want := range map[float64]bool{0: false, 0.9: false, 1: true, 50: true} {
		text := progressText(progress{Percent: &percent, ETASeconds: &eta})
		if strings.Contains(text, "left") != want {
			t.Errorf("at %v %%: progress %q", percent, text)
		}
	}
}
