package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiclient "firescan/api/client"
)

func TestCredentialsOfEachType(t *testing.T) {
	account := `{"type":"service_account","project_id":"acme-prod","private_key":"canary"}`
	file := filepath.Join(t.TempDir(), "sa.json")
	bare := filepath.Join(t.TempDir(), "bare.json")
	token := filepath.Join(t.TempDir(), "token")
	for name, text := range map[string]string{file: account, bare: `{"private_key":"canary"}`, token: "file\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		typ   string
		creds credentialFlags
		env   map[string]string
		want  apiclient.Credentials
		wrong string
	}{
		"keys from the environment":    {typ: "S3", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s"}, want: apiclient.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "s"}},
		"spaces without a secret":      {typ: "do-spaces", creds: credentialFlags{keyID: "AKIA"}, wrong: "no credentials"},
		"a temporary key":              {typ: "s3", env: map[string]string{"AWS_ACCESS_KEY_ID": "ASIA", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}, want: apiclient.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "s", SessionToken: "t"}},
		"a token of another key":       {typ: "S3", creds: credentialFlags{keyID: "AKIA"}, env: map[string]string{"AWS_ACCESS_KEY_ID": "ASIA", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}, want: apiclient.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "s"}},
		"a token from a file":          {typ: "S3", creds: credentialFlags{keyID: "ASIA", sessionFile: token}, env: map[string]string{"AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}, want: apiclient.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "s", SessionToken: "file"}},
		"a token beside spaces":        {typ: "do-spaces", env: map[string]string{"AWS_ACCESS_KEY_ID": "DO", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}, want: apiclient.Credentials{AccessKeyID: "DO", SecretAccessKey: "s"}},
		"two secrets from one input":   {typ: "S3", creds: credentialFlags{keyID: "ASIA", secretFile: "-", sessionFile: "-"}, wrong: "standard input"},
		"a service account":            {typ: "GCS", creds: credentialFlags{accountFile: file}, want: apiclient.Credentials{ProjectID: "acme-prod", Credentials: account}},
		"another project":              {typ: "firebase-storage", creds: credentialFlags{accountFile: file, projectID: "p"}, want: apiclient.Credentials{ProjectID: "p", Credentials: account}},
		"a file on the node":           {typ: "gcs", creds: credentialFlags{keyFilename: "k.json"}, want: apiclient.Credentials{KeyFilename: "k.json"}},
		"both files":                   {typ: "gcs", creds: credentialFlags{keyFilename: "k.json", accountFile: file}, wrong: "no credentials"},
		"an unknown type":              {typ: "s4", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s"}, wrong: "--type is"},
		"no key file":                  {typ: "gcs", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA"}, wrong: "--service-account-file"},
		"an account without a project": {typ: "gcs", creds: credentialFlags{accountFile: bare}, wrong: "--project-id"},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, _ := testApp(c.env)
			got, err := c.creds.read(a, c.typ)
			if c.wrong == "" && (err != nil || got != c.want) {
				t.Errorf("%v, %v", got, err)
			}
			if c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong) || strings.Contains(err.Error(), "canary")) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}
