package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
)

// table prints rows in aligned columns, after a header unless that is empty.
func table(w io.Writer, header string, rows func(row func(cells ...any))) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if header != "" {
		fmt.Fprintln(t, strings.Join(strings.Fields(header), "\t"))
	}
	rows(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	})
	return t.Flush()
}

// bytesText formats a size in binary units: 1.2 GiB.
func bytesText[N int64 | uint64](n N) string {
	size := uint64(max(n, 0))
	text := humanize.IBytes(size)
	if strings.HasPrefix(text, "1024 ") {
		return humanize.IBytes(size + size>>10) // rounded up: 1.0 of the next unit
	}
	return text
}

// sizeText formats a size that the API sends as a string.
func sizeText(s string) string {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return s
	}
	return bytesText(n)
}

// count formats a number with thousands separators: 1,234,567.
func count[N int64 | uint64](n N) string { return humanize.Comma(int64(n)) }

// when formats a time, or returns "-" for none.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// oneLine returns a message as one line of printable characters: it may quote names that
// contain control characters.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ReplaceAll(strings.TrimSpace(s), "\n", "; "))
}

// pathText returns an object key or a name, quoted if it has unprintable characters.
func pathText(p string) string {
	for _, r := range p {
		if !unicode.IsPrint(r) {
			return strconv.Quote(p)
		}
	}
	return p
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
