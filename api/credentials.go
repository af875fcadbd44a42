package api

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"firescan/catalog"
)

// credentials are those of a body, secret from the moment they are decoded. A value is
// a string, or a JSON object such as a Google key, which is kept as its text.
type credentials map[string]catalog.Secret

// UnmarshalJSON reads an object of strings and objects. Its errors name fields, never
// values.
func (c *credentials) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return invalidField("credentials", "must be an object")
	}
	if fields == nil { // null counts as absent
		return nil
	}
	*c = make(credentials, len(fields))
	for name, value := range fields {
		var text string
		switch {
		case value[0] == '{' && name == jsonCredential:
			var compact bytes.Buffer
			if err := json.Compact(&compact, value); err != nil {
				return invalidField("credentials."+name, "must be an object")
			}
			text = compact.String()
		case json.Unmarshal(value, &text) != nil:
			return invalidField("credentials."+name, "must be a string")
		}
		(*c)[name] = catalog.NewSecret(text)
	}
	return nil
}

// reveal returns the plain texts for the provider.
func (c credentials) reveal() map[string]string {
	plain := make(map[string]string, len(c))
	for name, value := range c {
		plain[name] = value.Reveal()
	}
	return plain
}

// The credentials of the two families of providers.
const (
	keyIDCredential   = "accessKeyId"
	secretCredential  = "secretAccessKey"
	fileCredential    = "keyFilename"
	projectCredential = "projectId"
	jsonCredential    = "credentials"
)

// check collects errors for a type, and for a custom endpoint if there is one. Whether
// the credentials work only the provider knows.
func (c credentials) check(typ, endpoint string, wrong fieldErrors) {
	var known []string
	switch typ {
	case catalog.TypeS3, catalog.TypeSpaces:
		known = []string{keyIDCredential, secretCredential}
		for _, name := range known {
			if c[name].Reveal() == "" {
				wrong["credentials."+name] = "is required"
			}
		}
	case catalog.TypeGCS, catalog.TypeFirebase:
		known = []string{fileCredential, projectCredential, jsonCredential}
		c.checkGoogle(endpoint != "", wrong)
	default:
		return // an unknown type has been reported already
	}
	for name, value := range c {
		at := "credentials." + name
		switch {
		case !slices.Contains(known, name):
			wrong[at] = "is not a credential of " + typ
		case wrong[at] == "" && (len(value.Reveal()) > maxSecret || name != jsonCredential && !printable(value.Reveal())):
			wrong[at] = "is not valid"
		}
	}
}

// checkGoogle checks the credentials of a Google account: the JSON of a key, or the
// name of a key file in a directory that the node's operator chose. An emulator needs
// neither.
func (c credentials) checkGoogle(emulator bool, wrong fieldErrors) {
	file, key := c[fileCredential].Reveal(), c[jsonCredential].Reveal()
	switch {
	case file == "" && key == "" && !emulator:
		wrong["credentials."+fileCredential] = "is required, or " + jsonCredential + " with the key itself"
	case file != "" && key != "":
		wrong["credentials."+fileCredential] = "cannot be given together with " + jsonCredential
	case strings.ContainsAny(file, `/\`) || file == "." || file == "..":
		wrong["credentials."+fileCredential] = "must be the plain name of a file in the node's --gcs-key-dir"
	}
	if key == "" {
		return
	}
	var account struct {
		Type string `json:"type"`
	}
	if json.Unmarshal([]byte(key), &account) != nil || account.Type != "service_account" {
		wrong["credentials."+jsonCredential] = `must be the JSON key of a service account ("type": "service_account")`
	}
}
