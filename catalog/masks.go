package catalog

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
)

// Masks returns what may be shown of a credential, by field: the ends of an access key id
// ("AKIA...MPLE"), a field that is not secret as it is, and of a Google key its project, its
// account and the ends of its id. Nothing of secrets (secretAccessKey, sessionToken) and of
// unknown fields is shown.
func Masks(field, value string) map[string]string {
	switch field {
	case "projectId", "keyFilename":
		return map[string]string{field: value}
	case "accessKeyId":
		return map[string]string{field: mask(value)}
	case "credentials":
		var key struct {
			Project string `json:"project_id"`
			Email   string `json:"client_email"`
			ID      string `json:"private_key_id"`
		}
		if json.Unmarshal([]byte(value), &key) != nil {
			return nil
		}
		shown := map[string]string{}
		for name, text := range map[string]string{"projectId": key.Project, "clientEmail": key.Email, "privateKeyId": mask(key.ID)} {
			if text != "" && len(text) <= maxShown && strings.IndexFunc(text, unicode.IsControl) < 0 {
				shown[name] = text
			}
		}
		return shown
	}
	return nil
}

// maxShown bounds what is shown of a field of a Google key, whose text comes from users.
const maxShown = 256

// mask returns the first and the last four characters of a text, and of a short one, which
// they would reveal, none.
func mask(text string) string {
	switch r := []rune(text); {
	case len(r) > 8:
		return string(r[:4]) + "..." + string(r[len(r)-4:])
	case len(r) > 0:
		return "..."
	}
	return ""
}

var masked = regexp.MustCompile(`^(.{4})?\.\.\.(.{4})?$`)

// IsMask reports whether a text looks like the mask of a secret rather than a secret.
func IsMask(text string) bool { return masked.MatchString(text) }
