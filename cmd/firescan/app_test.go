package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// testApp returns an app with the given environment, and its output and errors.
func testApp(env map[string]string) (*app, *bytes.Buffer, *bytes.Buffer) {
	var out, err bytes.Buffer
	return &app{in: strings.NewReader(""), out: &out, err: &err, getenv: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}, environ: func() (all []string) {
		for name, value := range env {
			all = append(all, name+"="+value)
		}
		return all
	}}, &out, &err
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"version"}, exitOK},
		{[]string{"--help"}, exitOK},
		{[]string{"destination"}, exitOK},
		{[]string{"nonsense"}, exitUsage},
		{[]string{"version", "nonsense"}, exitUsage},
		{[]string{"destination", "nonsense"}, exitUsage},
		{[]string{"files"}, exitUsage},
		{[]string{"files", "x", "--limit", "many"}, exitUsage},
		{[]string{"files", "x", "--limit", "0"}, exitUsage},
		{[]string{"backups", "x", "--limit", "1001"}, exitUsage},
		{[]string{"demo", "--keys", "0"}, exitUsage},
		{[]string{"token", "revoke", "fsk_secret"}, exitUsage},
		{[]string{"sync", "cancel"}, exitUsage},
		{[]string{"stats"}, exitUsage}, // no token
		{[]string{"stats", "--token", "x", "--org", "x", "--addr", "ftp://x"}, exitUsage},
		{[]string{"stats", "--token", "x", "--org", "x", "--addr", "http://127.0.0.1:1"}, exitFailed},
		{[]string{"serve", "--log-level", "loud"}, exitUsage},
		{[]string{"serve", "--http-addr", "nowhere"}, exitUsage},
	} {
		a, out, errs := testApp(nil)
		if got := run(t.Context(), a, c.args); got != c.want {
			t.Errorf("firescan %s: exit code %d, want %d\n%s%s", strings.Join(c.args, " "), got, c.want, out, errs)
		}
		if lines := strings.Count(errs.String(), "\n"); c.want != exitOK && (lines != 1 || !strings.HasPrefix(errs.String(), "firescan: ")) {
			t.Errorf("firescan %s: %d lines of errors: %s", strings.Join(c.args, " "), lines, errs)
		}
		if c.want == exitUsage && !strings.Contains(errs.String(), "--help") {
			t.Errorf("firescan %s: the error does not mention --help: %s", strings.Join(c.args, " "), errs)
		}
	}
}

func TestFlagsComeFromTheEnvironment(t *testing.T) {
	env := map[string]string{"FIRESCAN_ADDR": "http://127.0.0.1:1", "FIRESCAN_TOKEN": "t", "FIRESCAN_ORG": "o", "FIRESCAN_LIMIT": "x"}
	a, _, errs := testApp(env)
	if code := run(t.Context(), a, []string{"stats"}); code != exitFailed || !strings.Contains(errs.String(), "127.0.0.1:1") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	a, _, errs = testApp(env)
	if code := run(t.Context(), a, []string{"sync", "list"}); code != exitUsage || !strings.Contains(errs.String(), "FIRESCAN_LIMIT") {
		t.Errorf("invalid number in the environment: exit code %d: %s", code, errs)
	}
	a, _, errs = testApp(env)
	if code := run(t.Context(), a, []string{"sync", "list", "--limit", "1"}); code != exitFailed {
		t.Errorf("the command line does not override the environment: exit code %d: %s", code, errs)
	}
}

func TestUnknownVariables(t *testing.T) {
	for name, want := range map[string]string{
		"FIRESCAN_HTTP_ADR":    "did you mean FIRESCAN_HTTP_ADDR?", // no flag of version, but of serve
		"FIRESCAN_TOKN":        "did you mean FIRESCAN_TOKEN?",
		"FIRESCAN_YES":         "is not a variable of firescan", // it would confirm every command
		"FIRESCAN_ROOT_TOKENS": "did you mean FIRESCAN_ROOT_TOKEN?",
		"FIRESCAN_HTTP_ADDR":   "", "FIRESCAN_ROOT_TOKEN": "", "FIRESCANNER": "", "HTTP_ADDR": "",
		// Kubernetes sets these for services that are named firescan and firescan-gossip.
		"FIRESCAN_SERVICE_HOST": "", "FIRESCAN_SERVICE_PORT_HTTP": "", "FIRESCAN_PORT": "", "FIRESCAN_PORT_8080_TCP": "",
		"FIRESCAN_PORT_8080_TCP_PROTO": "", "FIRESCAN_GOSSIP_SERVICE_PORT": "", "FIRESCAN_GOSSIP_PORT_7401_UDP_ADDR": "",
	} {
		a, _, errs := testApp(map[string]string{name: "x"})
		code := run(t.Context(), a, []string{"version"})
		if want == "" && code != exitOK || want != "" && (code != exitUsage || !strings.Contains(errs.String(), want)) {
			t.Errorf("%s: exit code %d, %s, want %q", name, code, errs, want)
		}
	}
	a, _, errs := testApp(map[string]string{"FIRESCAN_TOKN": ""})
	if code := run(t.Context(), a, []string{"version"}); code != exitOK {
		t.Errorf("an empty variable: %s", errs)
	}
}

// Every command has a description and an example, and every flag a description.
func TestEveryCommandIsDescribed(t *testing.T) {
	a, _, _ := testApp(nil)
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Short == "" {
			t.Errorf("%s has no description", cmd.CommandPath())
		}
		if !strings.HasPrefix(cmd.Example, "  ") || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s has no example of itself: %q", cmd.CommandPath(), cmd.Example)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s is not described", cmd.CommandPath(), f.Name)
			}
		})
		if !cmd.HasSubCommands() && cmd.RunE == nil {
			t.Errorf("%s does nothing", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(rootCommand(a))
}
