package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// report collects sections, each replacing the one of its name in the results file,
// so that a run of one scenario leaves the others as they were.
type report struct{ sections []section }

type section struct{ name, text string }

const preamble = `# Results

Written by ` + "`make bench`" + `, section by section; each says when and on which machine. Everything in a section ran
side by side in one run, against one synthetic S3 server on the same machine (bench/bucketserver), whose own CPU time
is not in the figures of the programs but took of the same cores. CPU is user and system time of the measured process;
for firescan it is all that the node did from the start of the sync to its end.
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

// write puts the sections into the file, or prints them when it is "-".
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
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// replaceSection puts a section in the place of the one with its name, or at the end.
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
	// commands are the lines under the table that tell how it was made.
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

// machine tells what was measured on.
func machine() string {
	model := field("/proc/cpuinfo", "model name")
	memory := field("/proc/meminfo", "MemTotal")
	if kib, err := strconv.ParseUint(strings.TrimSuffix(memory, " kB"), 10, 64); err == nil {
		memory = fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %d cores, %s, Linux %s, %s", model, runtime.NumCPU(), memory, strings.TrimSpace(string(kernel)), runtime.Version())
}

// field is the value of the first "name: value" line of a file under /proc.
func field(path, name string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown " + name
}
