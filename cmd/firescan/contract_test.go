package main

import (
	"testing"

	"firescan/api"
	"firescan/api/contract"
)

// checkContract checks every call of a client against the OpenAPI document.
func checkContract(t *testing.T, c *client) {
	t.Helper()
	document, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	checker, err := contract.New(document, func(breach string) { t.Error(breach) })
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport = checker.Transport(c.http.Transport)
}
