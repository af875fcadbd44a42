package main

import (
	"testing"

	"firescan/api"
	"firescan/api/contract"
)

// hold holds every call of a client against the API's OpenAPI document.
func hold(t *testing.T, c *client) {
	t.Helper()
	document, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	held, err := contract.New(document, func(breach string) { t.Error(breach) })
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport = held.Transport(c.http.Transport)
}
