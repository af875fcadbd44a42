package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// metrics is the text of a node's /metrics.
type metrics string

func (n *node) metrics(ctx context.Context) (metrics, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: status %s", req.URL, resp.Status)
	}
	return metrics(text), err
}

// sum returns the sum of the samples of a metric that have all the given labels, each
// written as name="value". It returns false if there is no sample.
func (m metrics) sum(name string, labels ...string) (sum float64, found bool) {
	for line := range strings.Lines(string(m)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		at := strings.LastIndexByte(rest, ' ')
		value, err := strconv.ParseFloat(rest[at+1:], 64)
		if err != nil || !hasAll(rest[:at], labels) {
			continue
		}
		sum += value
		found = true
	}
	return sum, found
}

// hasAll reports whether the label set {a="1",b="2"} has all the given labels. Their
// values must not contain commas or quotes.
func hasAll(set string, labels []string) bool {
	have := strings.Split(strings.Trim(set, "{} "), ",")
	for _, want := range labels {
		found := false
		for _, h := range have {
			found = found || h == want
		}
		if !found {
			return false
		}
	}
	return true
}
