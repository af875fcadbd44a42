package main

import (
	"strings"
	"testing"

	"firescan/node"
)

// TestUnusedProxy: a proxy of the environment is not ignored without a word, and its URL, which
// may have a password, is not logged.
func TestUnusedProxy(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		flag string
		want string // the variable that is warned of
	}{
		{map[string]string{"HTTPS_PROXY": "http://u:canary@proxy:3128"}, "", "HTTPS_PROXY"},
		{map[string]string{"https_proxy": "http://u:canary@proxy:3128"}, "", "https_proxy"},
		{map[string]string{"ALL_PROXY": "socks5://proxy:1080"}, "", "ALL_PROXY"},
		{map[string]string{"HTTPS_PROXY": ""}, "", ""},
		{map[string]string{"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128", ""},
		{nil, "", ""},
	} {
		a, _, log := testApp(c.env)
		logger, err := node.NewLogger(log, "text", "info")
		if err != nil {
			t.Fatal(err)
		}
		a.warnProxy(node.Config{Logger: logger, EgressProxy: c.flag})
		text := log.String()
		if c.want == "" && text != "" || c.want != "" && (!strings.Contains(text, "variable="+c.want) || !strings.Contains(text, "--egress-proxy")) || strings.Contains(text, "canary") {
			t.Errorf("%v with %q: %s", c.env, c.flag, text)
		}
	}
}
