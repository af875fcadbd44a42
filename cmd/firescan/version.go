package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildVersion is what `git describe` printed: the Makefile sets it through the linker.
var buildVersion string

// buildInfo describes this binary.
type buildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Time     string `json:"commitTime,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func version() string { return newBuildInfo().Version }

// newBuildInfo takes from the information that the Go tool embeds what the linker did not
// set.
func newBuildInfo() buildInfo {
	b := buildInfo{Version: buildVersion, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		b.add(info)
	}
	if b.Version == "" {
		b.Version = "unknown"
	}
	return b
}

func (b *buildInfo) add(info *debug.BuildInfo) {
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	switch v := info.Main.Version; {
	case b.Version != "":
	case v != "" && v != "(devel)":
		b.Version = v
	case b.Revision != "":
		b.Version = b.Revision[:min(12, len(b.Revision))]
		if b.Modified {
			b.Version += "-dirty"
		}
	}
}

func versionCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version", Args: positional(cobra.NoArgs),
		Example: `  firescan version
  firescan version --json | jq -r .revision`,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return json.NewEncoder(a.out).Encode(newBuildInfo())
			}
			fmt.Fprintln(a.out, "firescan", version())
			return nil
		},
	}
	cmd.Flags().BoolVar(&a.json, "json", false, "print version, revision, Go version and platform as JSON")
	return cmd
}
