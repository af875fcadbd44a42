package main

import (
	"runtime/debug"
	"testing"
)

func TestBuildInfo(t *testing.T) {
	vcs := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"},
		{Key: "vcs.time", Value: "2026-01-02T03:04:05Z"},
		{Key: "vcs.modified", Value: "true"},
	}
	for _, tc := range []struct {
		name, linked, module string
		settings             []debug.BuildSetting
		want                 string
	}{
		{"linked", "v1.2.3", "v0.0.1", vcs, "v1.2.3"},
		{"tagged module", "", "v1.2.3", nil, "v1.2.3"},
		{"revision", "", "(devel)", vcs, "0123456789ab-dirty"},
		{"no information", "", "(devel)", nil, ""},
	} {
		b := buildInfo{Version: tc.linked}
		b.add(&debug.BuildInfo{Main: debug.Module{Version: tc.module}, Settings: tc.settings})
		if b.Version != tc.want {
			t.Errorf("%s: version %q, want %q", tc.name, b.Version, tc.want)
		}
		if tc.settings != nil && (b.Revision != "0123456789abcdef" || !b.Modified || b.Time == "") {
			t.Errorf("%s: %+v", tc.name, b)
		}
	}
	if v := newBuildInfo().Version; v == "" {
		t.Error("this binary has no version")
	}
}
