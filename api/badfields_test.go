package api

import (
	"maps"
	"testing"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestAllProblemsAtOnce sends bodies with several wrong types and unknown fields.
func TestAllProblemsAtOnce(t *testing.T) {
	r := newRig(t, mem.Options{})
	for body, want := range map[string]map[string]any{
		`{"name":7,"bukket":"b","region":[],"credentials":{"accessKeyId":true,"secretAccessKey":7}}`: {
			"name": "must be a string, not number", "bukket": "is not a field of this request", "region": "must be a string, not array",
			"credentials.accessKeyId": "must be a string", "credentials.secretAccessKey": "must be a string",
		},
		`{"name":"n","credentials":"x"}`: {"credentials": "must be an object"},
		`{"name":"n",`:                   {"body": "is incomplete JSON"},
		`["name"]`:                       {"body": "must be an object, not array"},
	} {
		fields := r.do(catalog.RoleOwner, "POST", destinationsPath, body).refused(400, CodeValidation)
		if !maps.Equal(fields, want) {
			t.Errorf("%s: %v, want %v", body, fields, want)
		}
	}
	many := `{"name":7`
	for c := 'a'; c <= 'z'; c++ {
		many += `,"x` + string(c) + `":1`
	}
	if fields := r.do(catalog.RoleOwner, "POST", destinationsPath, many+"}").refused(400, CodeValidation); len(fields) != maxBadFields {
		t.Errorf("%d fields", len(fields))
	}
}
