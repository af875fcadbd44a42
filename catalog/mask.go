package catalog

// Mask is what may be shown of a credential field: the first four characters of
// an access key id ("AKIA...XXXX"), the whole of what is no secret, and nothing
// (empty: leave the field out) of everything else.
func Mask(field, value string) string {
	switch field {
	case "projectId", "keyFilename":
		return value
	case "accessKeyId":
		if r := []rune(value); len(r) >= 8 {
			return string(r[:4]) + "...XXXX"
		}
		return "...XXXX" // four characters would be too much of it
	}
	return ""
}
