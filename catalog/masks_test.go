package catalog

import (
	"maps"
	"strings"
	"testing"
)

func TestMasks(t *testing.T) {
	type shown = map[string]string
	for _, tc := range []struct {
		field, value string
		want         shown
	}{
		{"accessKeyId", "AKIAIOSFODNN7EXAMPLE", shown{"accessKeyId": "AKIA...MPLE"}},
		{"accessKeyId", "minioadmin", shown{"accessKeyId": "mini...dmin"}},
		{"accessKeyId", "AKIA1234", shown{"accessKeyId": "..."}},
		{"secretAccessKey", "wJalrXUtnFEMI", nil},
		{"anything else", "x", nil},
		{"projectId", "my-project", shown{"projectId": "my-project"}},
		{"keyFilename", "key.json", shown{"keyFilename": "key.json"}},
		{"credentials", "{}", nil},
		{"credentials", "not JSON", nil},
		{
			"credentials", `{"project_id":"p","client_email":"a@p.iam.gserviceaccount.com","private_key_id":"0123456789abcdef","private_key":"k"}`,
			shown{"projectId": "p", "clientEmail": "a@p.iam.gserviceaccount.com", "privateKeyId": "0123...cdef"},
		},
		{"credentials", `{"project_id":"a\u0000","client_email":"` + strings.Repeat("x", 300) + `"}`, nil},
	} {
		if got := Masks(tc.field, tc.value); !maps.Equal(got, tc.want) {
			t.Errorf("%s %q shows as %v, want %v", tc.field, tc.value, got, tc.want)
		}
	}
	for text, want := range map[string]bool{"AKIA...MPLE": true, "...XXXX": true, "...": true, "AKIAIOSFODNN7EXAMPLE": false, "": false} {
		if IsMask(text) != want {
			t.Errorf("that %q is a mask: %v", text, !want)
		}
	}
}
