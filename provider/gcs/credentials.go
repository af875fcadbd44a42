package gcs

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"regexp"
)

// maxKeyJSON bounds the JSON of a key; Google's have 2.4 KiB.
const maxKeyJSON = 16 << 10

// RSA keys of other sizes are not Google's; large ones would take seconds to sign with.
const minKeyBits, maxKeyBits = 2048, 4096

// tokenURL is where Google exchanges signatures of service accounts for access tokens. It
// is the only such address that is dialed, whatever a key file says.
const tokenURL = "https://oauth2.googleapis.com/token"

var projectID = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]{0,126}[a-z0-9]$`)

// key is what is taken of a service account's key. Nothing else in its JSON counts: it
// comes from users, and some of its fields would have a client of Google's read files,
// run programs or call other hosts.
type key struct {
	email   string
	id      string
	project string
	private []byte // PEM
}

var serviceAccount = regexp.MustCompile(`^[a-z0-9._-]+@[a-z0-9.-]+\.gserviceaccount\.com$`)

// parseKey reads the JSON key of a service account, as Google hands it out, and refuses
// everything else that goes by the name of credentials. Its errors quote nothing.
func parseKey(text []byte) (*key, error) {
	if len(text) > maxKeyJSON {
		return nil, unfit("the key is longer than 16 KiB")
	}
	var given struct {
		Type        string `json:"type"`
		Email       string `json:"client_email"`
		ID          string `json:"private_key_id"`
		Project     string `json:"project_id"`
		PrivateKey  string `json:"private_key"`
		TokenURI    string `json:"token_uri"`
		UniverseURL string `json:"universe_domain"`
	}
	if json.Unmarshal(text, &given) != nil {
		return nil, unfit("the key is not the JSON of a service account's key")
	}
	switch {
	case given.Type != "service_account":
		return nil, unfit(`the key must be one of a service account ("type": "service_account")`)
	case given.TokenURI != tokenURL:
		return nil, unfit("the key's token_uri must be " + tokenURL)
	case given.UniverseURL != "" && given.UniverseURL != "googleapis.com":
		return nil, unfit("the key's universe_domain must be googleapis.com")
	case !serviceAccount.MatchString(given.Email):
		return nil, unfit("the key's client_email is not the address of a service account")
	case given.Project != "" && !projectID.MatchString(given.Project):
		return nil, unfit("the key's project_id is not valid")
	}
	private := []byte(given.PrivateKey)
	if err := checkPrivate(private); err != nil {
		return nil, err
	}
	return &key{email: given.Email, id: given.ID, project: given.Project, private: private}, nil
}

// checkPrivate refuses anything but an RSA key in PEM.
func checkPrivate(text []byte) error {
	block, _ := pem.Decode(text)
	if block == nil {
		return unfit("the key's private_key is no PEM text; its line breaks are written \\n in JSON")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		// The older of the two forms.
		if parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			return unfit("the key's private_key cannot be read")
		}
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return unfit("the key's private_key is no RSA key")
	}
	if bits := private.N.BitLen(); bits < minKeyBits || bits > maxKeyBits {
		return unfit("the key's private_key does not have 2,048 to 4,096 bits")
	}
	return nil
}
