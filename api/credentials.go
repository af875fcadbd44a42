package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
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
		case string(value) == "null":
			continue // counts as absent
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
	sessionCredential = "sessionToken"
	fileCredential    = "keyFilename"
	projectCredential = "projectId"
	jsonCredential    = "credentials"

	// These are shown of a key, and not given.
	emailCredential      = "clientEmail"
	privateKeyCredential = "privateKeyId"
)

// has reports whether a field is given, or stored and not taken away.
func (c credentials) has(name string, stored map[string][]byte) bool {
	if value, given := c[name]; given {
		return value.Reveal() != ""
	}
	return stored[name] != nil
}

// changes returns the fields that differ from what d shows of its credentials: a client
// that sends back what it was shown changes nothing.
func (c credentials) changes(d *pb.Destination, wrong fieldErrors) credentials {
	changes := maps.Clone(c)
	for name, value := range c {
		at, shown := "credentials."+name, d.Masked[name]
		switch {
		case shown != "" && value.Reveal() == shown:
			delete(changes, name)
		case name == emailCredential || name == privateKeyCredential:
			wrong[at] = "is read-only: it is a part of the key in " + jsonCredential
		case name == keyIDCredential && catalog.IsMask(value.Reveal()):
			wrong[at] = "is a mask: give the whole key id, or leave it out to keep the stored one"
		}
	}
	changes.endSession(d, wrong)
	return changes
}

// endSession takes away the stored session token when the key changes that it was issued
// with: it must not be sent with another key, or to where another key is used.
func (c credentials) endSession(d *pb.Destination, wrong fieldErrors) {
	_, token := c[sessionCredential]
	_, id := c[keyIDCredential]
	_, secret := c[secretCredential]
	switch {
	case token || d.Sealed[sessionCredential] == nil:
	case id:
		c[sessionCredential] = catalog.NewSecret("")
	case secret:
		wrong["credentials."+sessionCredential] = "is required with another " + secretCredential + "; an empty one removes the stored token"
	}
}

// seal encrypts the given fields and stores them in d beside those that it has: no command
// has them in plain text. An empty field is taken away.
func (h *destinations) seal(d *pb.Destination, given credentials) error {
	if len(given) == 0 {
		return nil
	}
	sealed, shown := maps.Clone(d.Sealed), maps.Clone(d.Masked)
	if sealed == nil || shown == nil {
		sealed, shown = map[string][]byte{}, map[string]string{}
	}
	_, file := given[fileCredential]
	_, key := given[jsonCredential]
	if file || key { // the one takes the place of the other
		delete(sealed, fileCredential)
		delete(sealed, jsonCredential)
		maps.DeleteFunc(shown, func(name, _ string) bool { return sealed[name] == nil })
	}
	for _, field := range slices.Sorted(maps.Keys(given)) {
		plain := given[field].Reveal()
		delete(sealed, field)
		delete(shown, field)
		if plain == "" {
			continue
		}
		for name, text := range catalog.Masks(field, plain) {
			if sealed[name] == nil { // the project of a key counts only where none is given
				shown[name] = text
			}
		}
		text, err := h.secrets.Seal(d.Org, d.Id, field, plain)
		if err != nil {
			return err
		}
		sealed[field] = text
	}
	d.Sealed, d.Masked = sealed, shown
	return nil
}

// check collects errors for a type, and for a custom endpoint if there is one. Fields that
// are stored need not be given. Whether the credentials work only the provider knows.
func (c credentials) check(typ, endpoint string, stored map[string][]byte, wrong fieldErrors) {
	var known []string
	switch typ {
	case catalog.TypeS3, catalog.TypeSpaces:
		known = []string{keyIDCredential, secretCredential}
		for _, name := range known {
			if !c.has(name, stored) {
				wrong["credentials."+name] = "is required"
			}
		}
		if typ == catalog.TypeS3 {
			known = append(known, sessionCredential)
			c.checkSession(endpoint, stored, wrong)
		}
	case catalog.TypeGCS, catalog.TypeFirebase:
		known = []string{fileCredential, projectCredential, jsonCredential}
		c.checkGoogle(endpoint != "", stored, wrong)
	default:
		return // an unknown type has been reported already
	}
	for name, value := range c {
		at := "credentials." + name
		switch {
		case wrong[at] != "":
		case !slices.Contains(known, name):
			wrong[at] = "is not a credential of " + typ
		case len(value.Reveal()) > maxSecret:
			wrong[at] = fmt.Sprintf("must have at most %d bytes", maxSecret)
		case name != jsonCredential:
			wrong.secret(at, value.Reveal())
		}
	}
}

// secret checks a value that is often pasted from a terminal or a file. It names what is wrong,
// and never the value.
func (w fieldErrors) secret(name, value string) {
	switch {
	case strings.ContainsAny(value, "\r\n"):
		w[name] = "must not contain a line break"
	case strings.TrimSpace(value) != value:
		w[name] = "must not begin or end with white space"
	case !printable(value):
		w[name] = "must not contain control characters"
	}
}

// checkSession collects an error for a temporary key without its session token. Amazon's
// response would only be that it does not know the key.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
func (c credentials) checkSession(endpoint string, stored map[string][]byte, wrong fieldErrors) {
	amazon := endpoint == "" || strings.Contains(endpoint, ".amazonaws.com")
	if amazon && strings.HasPrefix(c[keyIDCredential].Reveal(), "ASIA") && !c.has(sessionCredential, stored) {
		wrong["credentials."+sessionCredential] = "is required: " + keyIDCredential + " begins with ASIA, so it is a temporary key"
	}
}

// checkGoogle checks the credentials of a Google account: the JSON of a key, or the
// name of a key file in a directory that the node's operator chose. An emulator needs
// neither.
func (c credentials) checkGoogle(emulator bool, stored map[string][]byte, wrong fieldErrors) {
	file, key := c[fileCredential].Reveal(), c[jsonCredential].Reveal()
	switch {
	case !c.has(fileCredential, stored) && !c.has(jsonCredential, stored) && !emulator:
		wrong["credentials."+fileCredential] = "is required, or " + jsonCredential + " with the key itself"
	case file != "" && key != "":
		wrong["credentials."+fileCredential] = "cannot be given together with " + jsonCredential
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

// checkKeyFile collects an error for a key file that cannot be one of the organization's: the
// plain name of a file in its directory, or the whole path. Only the provider's client knows
// where that is.
func (c credentials) checkKeyFile(org string, wrong fieldErrors) {
	file := c[fileCredential].Reveal()
	name := file
	if path.IsAbs(file) && path.Clean(file) == file && path.Base(path.Dir(file)) == org {
		name = path.Base(file)
	}
	if at := "credentials." + fileCredential; wrong[at] == "" && (strings.ContainsAny(name, `/\`) || name == "." || name == "..") {
		wrong[at] = "must be a file in the organization's directory of the node's --gcs-key-dir: its plain name or its whole path"
	}
}

// secretCredentials returns those that give access.
func secretCredentials() []string {
	return []string{secretCredential, jsonCredential, fileCredential}
}

// prove reports whether they can stand for the stored ones when a destination is moved: they
// have a secret, or another key file than the one that is shown.
func (c credentials) prove() bool {
	return slices.ContainsFunc(secretCredentials(), func(name string) bool { return c[name].Reveal() != "" })
}

func hasSecret(stored map[string][]byte) bool {
	return slices.ContainsFunc(secretCredentials(), func(name string) bool { return stored[name] != nil })
}
