package main

import (
	"testing"

	"firescan/bench/bucketserver"
)

func TestParse(t *testing.T) {
	c, err := parse([]string{"-layout", "tree", "-keys", "12", "-latency", "50ms", "-throttle", "150", "-orphans", "0.2"})
	if err != nil {
		t.Fatal(err)
	}
	if c.layout != "tree" || c.keys != 12 || c.server.Latency.Milliseconds() != 50 || c.server.Rate != 150 || c.catalog.Orphans != 0.2 {
		t.Errorf("%+v", c)
	}
	if _, err := parse([]string{"serve"}); err == nil {
		t.Error("an argument is accepted")
	}
}

func TestParseFaults(t *testing.T) {
	f, err := parseFaults("truncated=1", 1)
	if err != nil || f(bucketserver.ListRequest{}) != bucketserver.Truncated {
		t.Errorf("%v", err)
	}
	if f, err := parseFaults("", 1); err != nil || f != nil {
		t.Errorf("no faults: %v", err)
	}
	for _, text := range []string{"truncated", "flood=0.1", "reset=2", "reset=-1", "reset=x"} {
		if _, err := parseFaults(text, 1); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
