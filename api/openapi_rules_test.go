package api

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestOpenAPIRules holds the document to what code generators take: no fields beside a
// $ref, no boolean schemas, every operation with an operationId, a response whose data has
// a schema, and the statuses of its errors.
func TestOpenAPIRules(t *testing.T) {
	raw, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for _, breach := range referenceBreaches("", doc) {
		t.Error(breach)
	}
	components := doc["components"].(map[string]any)
	names := map[string]string{}
	for kind, list := range components {
		for name := range list.(map[string]any) {
			if other := names[strings.ToLower(name)]; other != "" {
				t.Errorf("components.%s.%s has the name of one of components.%s: generators make a type of each", kind, name, other)
			}
			names[strings.ToLower(name)] = kind
		}
	}
	responses := components["responses"].(map[string]any)
	seen := map[string]bool{}
	for path, item := range doc["paths"].(map[string]any) {
		for method, operation := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			name, op := method+" "+path, operation.(map[string]any)
			id, _ := op["operationId"].(string)
			if id == "" || seen[id] {
				t.Errorf("%s: the operationId %q is empty or not unique", name, id)
			}
			seen[id] = true
			answers := op["responses"].(map[string]any)
			for _, status := range statusesOf(op) {
				if answers[status] == nil {
					t.Errorf("%s: status %s is not documented", name, status)
				}
			}
			for status, answer := range answers {
				if status[0] == '2' && !typed(responses, answer.(map[string]any)) {
					t.Errorf("%s: response %s has data without a schema", name, status)
				}
			}
		}
	}
}

// statusesOf returns the statuses of errors that any operation of its kind may have.
func statusesOf(operation map[string]any) []string {
	if _, public := operation["security"]; public {
		return []string{"500"}
	}
	return []string{"400", "401", "403", "413", "429", "500", "503"}
}

// typed reports whether the JSON of a response is described to the type of its data.
func typed(shared, response map[string]any) bool {
	if ref, ok := response["$ref"].(string); ok {
		response = shared[ref[len("#/components/responses/"):]].(map[string]any)
	}
	body, ok := response["content"].(map[string]any)["application/json"].(map[string]any)
	if !ok {
		return true // a stream of text
	}
	schema := body["schema"].(map[string]any)
	fields, _ := schema["properties"].(map[string]any)
	data, ok := fields["data"].(map[string]any)
	return schema["type"] == "object" && (fields["success"] == nil || !ok || data["$ref"] != nil || data["type"] != nil)
}

// referenceBreaches returns the places with fields beside a $ref, and with a schema that is
// true or false.
func referenceBreaches(at string, value any) (breaches []string) {
	switch v := value.(type) {
	case map[string]any:
		if types, ok := v["type"].([]any); ok && (len(types) != 2 || types[1] != "null") {
			breaches = append(breaches, at+" has several types: use oneOf")
		}
		if _, ok := v["$ref"].(string); ok && len(v) > 1 {
			breaches = append(breaches, at+" has fields beside its $ref")
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if key == "properties" || key == "schemas" {
				fields, _ := v[key].(map[string]any)
				for name, schema := range fields {
					if _, ok := schema.(map[string]any); !ok {
						breaches = append(breaches, at+"."+name+" is a boolean schema")
					}
				}
			}
			if _, ok := v[key].(bool); ok && (key == "schema" || key == "items") {
				breaches = append(breaches, at+"."+key+" is a boolean schema")
			}
			breaches = append(breaches, referenceBreaches(at+"."+key, v[key])...)
		}
	case []any:
		for _, element := range v {
			breaches = append(breaches, referenceBreaches(at+"[]", element)...)
		}
	}
	return breaches
}
