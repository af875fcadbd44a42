package main

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
)

// round rounds d to about three digits.
func round(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	default:
		return d.Round(time.Millisecond)
	}
}

func mib(bytes uint64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }

func kib(bytes uint64) string { return thousands((bytes+512)/1024) + " KiB" }

// thousands returns n with commas between groups of three digits.
func thousands(n uint64) string { return humanize.Comma(int64(n)) }
