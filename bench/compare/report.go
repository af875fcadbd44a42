package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// report collects sections. Each replaces the section of the same name in the results
// file; sections of other scenarios stay.
type report struct{ sections []section }

type section struct{ name, text string }

const preamble = `# Results

Written by ` + "`make bench`" + `, section by section, with the date and the machine of each. All programs of a
section ran side by side in one run, against one synthetic S3 server on the same machine
(bench/bucketserver). Its CPU time is not part of the figures of the programs, but it uses the same
cores. CPU is user and system time of the measured process; for firescan, of the whole node from the
start to the end of the sync.
`

func (r *report) add(name, title string, t table, notes ...string) {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n", title, t)
	for _, note := range notes {
		b.WriteString(note + "\n")
	}
	fmt.Fprintf(&b, "\nMeasured %s on %s.\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"), machine())
	r.sections = append(r.sections, section{name, b.String()})
}

// write writes the sections into the file, or prints them if path is "-".
func (r *report) write(path string) error {
	if path == "-" {
		for _, s := range r.sections {
			fmt.Println(s.text)
		}
		r.sections = nil
		return nil
	}
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		old, err = []byte(preamble), nil
	}
	if err != nil {
		return err
	}
	text := string(old)
	for _, s := range r.sections {
		text = replaceSection(text, s)
	}
	return renameio.WriteFile(path, []byte(text), 0o644)
}

// replaceSection replaces the section of the same name, or appends s.
func replaceSection(text string, s section) string {
	begin, end := "<!-- begin "+s.name+" -->\n", "<!-- end "+s.name+" -->\n"
	whole := begin + s.text + end
	from := strings.Index(text, begin)
	if from < 0 {
		return strings.TrimRight(text, "\n") + "\n\n" + whole
	}
	to := strings.Index(text[from:], end)
	if to < 0 {
		return text[:from] + whole
	}
	return text[:from] + whole + text[from+to+len(end):]
}

// table is a Markdown table.
type table struct {
	head []string
	rows [][]string
	// commands are printed below the table.
	commands []string
}

func (t table) String() string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.head)
	line(strings.Split(strings.Repeat("---,", len(t.head)-1)+"---", ","))
	for _, r := range t.rows {
		line(r)
	}
	if len(t.commands) > 0 {
		b.WriteString("\n```\n" + strings.Join(t.commands, "\n") + "\n```\n")
	}
	return b.String()
}

// machine describes this machine.
func machine() string {
	model := field("/proc/cpuinfo", "model name")
	memory := field("/proc/meminfo", "MemTotal")
	if kib, err := strconv.ParseUint(strings.TrimSuffix(memory, " kB"), 10, 64); err == nil {
		memory = fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %d cores, %s, Linux %s, %s", model, runtime.NumCPU(), memory, strings.TrimSpace(string(kernel)), runtime.Version())
}

// field returns the value of the first "name: value" line of a file.
func field(path, name string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown " + name
}
