package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// A question asks for confirmation of something that was shown and cannot be undone.
type question struct {
	text   string // such as "Remove the node?"
	answer string // that confirms (default: yes)
	undone string // the result without confirmation, such as "nothing was removed"
	flags  string // that confirm without a terminal (default: --yes)
}

// yesFlag adds --yes, for what it does without asking.
func yesFlag(f *pflag.FlagSet, confirmed *bool, does string) {
	f.BoolVar(confirmed, "yes", false, does+" without asking for confirmation")
}

// confirm asks the question unless it is confirmed already. Without a terminal it fails.
func (a *app) confirm(q question, confirmed bool) error {
	if confirmed {
		return nil
	}
	if q.answer == "" {
		q.answer = "yes"
	}
	if q.flags == "" {
		q.flags = "--yes"
	}
	if !a.interactive() {
		return usagef("%s: without a terminal, set %s", q.undone, q.flags)
	}
	fmt.Fprintf(a.err, "%s Type %q to continue: ", q.text, q.answer)
	line, _ := bufio.NewReader(a.in).ReadString('\n') // an incomplete line is no confirmation
	if strings.TrimSpace(line) != q.answer {
		return errors.New(q.undone)
	}
	return nil
}

// interactive reports whether standard input is a terminal.
func (a *app) interactive() bool {
	in, ok := a.in.(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}
