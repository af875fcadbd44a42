package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCredentialsOfEachType(t *testing.T) {
	account := `{"type":"service_account","project_id":"acme-prod","private_key":"canary"}`
	file := filepath.Join(t.TempDir(), "sa.json")
	bare := filepath.Join(t.TempDir(), "bare.json")
	for name, text := range map[string]string{file: account, bare: `{"private_key":"canary"}`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		typ   string
		with  credentialFlags
		env   map[string]string
		want  map[string]string
		wrong string
	}{
		"keys of the environment":  {typ: "S3", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s"}, want: map[string]string{"accessKeyId": "AKIA", "secretAccessKey": "s"}},
		"spaces without a secret":  {typ: "do-spaces", with: credentialFlags{keyID: "AKIA"}, wrong: "no credentials"},
		"a service account":        {typ: "GCS", with: credentialFlags{accountFile: file}, want: map[string]string{"projectId": "acme-prod", "credentials": account}},
		"another project":          {typ: "firebase-storage", with: credentialFlags{accountFile: file, projectID: "p"}, want: map[string]string{"projectId": "p", "credentials": account}},
		"a file of the node's":     {typ: "gcs", with: credentialFlags{keyFilename: "k.json"}, want: map[string]string{"keyFilename": "k.json"}},
		"both files":               {typ: "gcs", with: credentialFlags{keyFilename: "k.json", accountFile: file}, wrong: "no credentials"},
		"a type that is none":      {typ: "s4", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s"}, wrong: "--type is"},
		"no file":                  {typ: "gcs", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA"}, wrong: "--service-account-file"},
		"an account of no project": {typ: "gcs", with: credentialFlags{accountFile: bare}, wrong: "--project-id"},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, _ := testApp(c.env)
			got, err := c.with.credentials(a, c.typ)
			if c.wrong == "" && (err != nil || !maps.Equal(got, c.want)) {
				t.Errorf("%v, %v", got, err)
			}
			if c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong) || strings.Contains(err.Error(), "canary")) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}
