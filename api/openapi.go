package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var openAPISource []byte

// OpenAPI returns the OpenAPI 3.1 document of all endpoints, as JSON. The tests check
// the routes and all their requests and responses against it.
var OpenAPI = sync.OnceValues(func() ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(openAPISource, &doc); err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	return json.Marshal(doc)
})

func showOpenAPI(c *call) error {
	doc, err := OpenAPI()
	if err != nil {
		return err
	}
	c.sendJSON(200, doc)
	return nil
}
