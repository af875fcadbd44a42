package api

import (
	"slices"
	"strings"
	"testing"

	"firescan/api/contract"
	"firescan/catalog"
	"firescan/provider/mem"
)

// TestRoutesAreDescribed compares the table of routes with the OpenAPI document.
func TestRoutesAreDescribed(t *testing.T) {
	doc, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	c, err := contract.New(doc, func(breach string) { t.Error(breach) })
	if err != nil {
		t.Fatal(err)
	}
	var served []string
	for _, r := range (&Server{}).routes() {
		served = append(served, r.method+" "+strings.ReplaceAll(r.path, ":id", "{id}"))
	}
	described := c.Operations()
	for _, name := range served {
		if !slices.Contains(described, name) {
			t.Errorf("%s is served and not described", name)
		}
	}
	for _, name := range described {
		if !slices.Contains(served, name) {
			t.Errorf("%s is described and not served", name)
		}
	}
}

func TestOpenAPIIsServed(t *testing.T) {
	r := newRig(t, mem.Options{})
	a := r.do(catalog.RoleViewer, "GET", "/api/v1/openapi.json", "", "Authorization", "")
	if a.status != 200 || a.body["openapi"] != "3.1.0" {
		t.Fatalf("%d %.200s", a.status, a.raw)
	}
}
