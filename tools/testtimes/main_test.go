package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	const events = `not an event
{"Action":"build-output","ImportPath":"broken","Output":"broken.go:1: syntax error\n"}
{"Action":"start","Package":"slow"}
{"Action":"run","Package":"slow","Test":"TestA"}
{"Action":"output","Package":"slow","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"slow","Test":"TestA","Output":"    quiet\n"}
{"Action":"pass","Package":"slow","Test":"TestA","Elapsed":2}
{"Action":"output","Package":"slow","Test":"TestB","Output":"    a_test.go:1: loud\n"}
{"Action":"fail","Package":"slow","Test":"TestB","Elapsed":3}
{"Action":"output","Package":"slow","Test":"TestC","Output":"panic: at once\n"}
{"Action":"output","Package":"slow","Output":"FAIL\tslow\t5.000s\n"}
{"Action":"fail","Package":"slow","Elapsed":5}
{"Action":"pass","Package":"kept","Test":"TestD","Elapsed":9}
{"Action":"output","Package":"kept","Output":"PASS\n"}
{"Action":"output","Package":"kept","Output":"ok  \tkept\t(cached)\n"}
{"Action":"pass","Package":"kept","Elapsed":9}
{"Action":"output","Package":"none","Output":"?   \tnone\t[no test files]\n"}
{"Action":"skip","Package":"none","Elapsed":0}
`
	const want = `not an event
broken.go:1: syntax error
    a_test.go:1: loud
FAIL	slow	5.000s
panic: at once
ok  	kept	(cached)
?   	none	[no test files]

Slowest tests:
    3.00s  slow TestB
    2.00s  slow TestA

Packages, slowest last:
ok  	kept	(cached)
FAIL	slow	5.000s
FAIL
`
	var out strings.Builder
	r := newReport(&out)
	if err := r.read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	r.summarize(true)
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}
