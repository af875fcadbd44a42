package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"firescan/catalog"
)

func TestCredentialsOfEachType(t *testing.T) {
	const key = `{"type":"service_account","project_id":"p","client_email":"a@p.iam.gserviceaccount.com","private_key":"k"}`
	quoted, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ typ, given, wrong, endpoint string }{
		{catalog.TypeS3, `{"accessKeyId":"a","secretAccessKey":"s"}`, "", ""},
		{catalog.TypeS3, `{"accessKeyId":"a","secretAccessKey":null}`, "secretAccessKey", ""},
		{catalog.TypeS3, `{"accessKeyId":"a"}`, "secretAccessKey", ""},
		{catalog.TypeS3, `{"accessKeyId":"a","secretAccessKey":"s","keyFilename":"f"}`, "keyFilename", ""},
		{catalog.TypeS3, `{"accessKeyId":"a\u0000","secretAccessKey":"s"}`, "accessKeyId", ""},
		{catalog.TypeS3, `{"accessKeyId":"ASIAEXAMPLE","secretAccessKey":"s","sessionToken":"t"}`, "", ""},
		{catalog.TypeS3, `{"accessKeyId":"ASIAEXAMPLE","secretAccessKey":"s"}`, "sessionToken", ""},
		{catalog.TypeS3, `{"accessKeyId":"ASIAEXAMPLE","secretAccessKey":"s","sessionToken":""}`, "sessionToken", "https://vpce-1.s3.us-east-1.vpce.amazonaws.com"},
		{catalog.TypeS3, `{"accessKeyId":"ASIAEXAMPLE","secretAccessKey":"s"}`, "", "http://minio:9000"},
		{catalog.TypeS3, `{"accessKeyId":"a","secretAccessKey":"s","sessionToken":"t\n"}`, "sessionToken", ""},
		{catalog.TypeS3, `{"accessKeyId":"a","secretAccessKey":"s","sessionToken":"` + strings.Repeat("x", 17<<10) + `"}`, "sessionToken", ""},
		{catalog.TypeSpaces, `{"accessKeyId":"a","secretAccessKey":"s","sessionToken":"t"}`, "sessionToken", ""},
		{catalog.TypeGCS, `{"keyFilename":"key.json","sessionToken":"t"}`, "sessionToken", ""},
		{catalog.TypeSpaces, `{"accessKeyId":"a","secretAccessKey":"s"}`, "", ""},
		{catalog.TypeSpaces, `{}`, "accessKeyId", ""},
		{catalog.TypeGCS, `{"keyFilename":"key.json","projectId":"p"}`, "", ""},
		{catalog.TypeGCS, `{"credentials":` + key + `,"projectId":"p"}`, "", ""},
		{catalog.TypeGCS, `{"credentials":` + string(quoted) + `}`, "", ""},
		{catalog.TypeFirebase, `{"credentials":` + key + `}`, "", ""},
		{catalog.TypeGCS, `{"projectId":"p"}`, "keyFilename", ""},
		{catalog.TypeGCS, `{"projectId":"p"}`, "", "http://emulator:4443"},
		{catalog.TypeGCS, `{"projectId":"p","accessKeyId":"a"}`, "accessKeyId", "http://emulator:4443"},
		{catalog.TypeS3, `{"accessKeyId":"a"}`, "secretAccessKey", "http://minio:9000"},
		{catalog.TypeGCS, `{"keyFilename":"key.json","credentials":` + key + `}`, "keyFilename", ""},
		{catalog.TypeGCS, `{"keyFilename":"/etc/key.json"}`, "keyFilename", ""},
		{catalog.TypeGCS, `{"keyFilename":"/etc/keys/org1/key.json"}`, "", ""},
		{catalog.TypeGCS, `{"keyFilename":"/etc/keys/org2/key.json"}`, "keyFilename", ""},
		{catalog.TypeGCS, `{"keyFilename":"/etc/keys/org1/../org2/key.json"}`, "keyFilename", ""},
		{catalog.TypeGCS, `{"keyFilename":"/etc/keys/org2/../org1/key.json"}`, "keyFilename", ""},
		{catalog.TypeGCS, `{"keyFilename":"/etc/keys/org1/"}`, "keyFilename", ""},
		{catalog.TypeGCS, `{"keyFilename":"org1/key.json"}`, "keyFilename", ""},
		{catalog.TypeGCS, `{"keyFilename":"..\\key.json"}`, "keyFilename", ""},
		{catalog.TypeGCS, `{"keyFilename":".."}`, "keyFilename", ""},
		{catalog.TypeGCS, `{"keyFilename":"a\u0000"}`, "keyFilename", ""},
		{catalog.TypeGCS, `{"credentials":{"type":"external_account"}}`, "credentials", ""},
		{catalog.TypeGCS, `{"credentials":{}}`, "credentials", ""},
		{catalog.TypeGCS, `{"credentials":"not JSON"}`, "credentials", ""},
		{catalog.TypeGCS, `{"accessKeyId":"a","keyFilename":"f"}`, "accessKeyId", ""},
		{catalog.TypeGCS, `{"credentials":"` + strings.Repeat("x", 17<<10) + `"}`, "credentials", ""},
	} {
		var given credentials
		if err := json.Unmarshal([]byte(c.given), &given); err != nil {
			t.Fatalf("%s: %v", c.given, err)
		}
		wrong := fieldErrors{}
		given.check(c.typ, c.endpoint, nil, wrong)
		given.checkKeyFile(org, wrong)
		if got := wrong["credentials."+c.wrong]; (got == "") != (c.wrong == "") || c.wrong == "" && len(wrong) > 0 {
			t.Errorf("%s of %.100s: %v is wrong, want %q", c.given, c.typ, wrong, c.wrong)
		}
	}
}

// TestWhiteSpaceInSecrets: what a terminal or an editor adds to a secret is named.
func TestWhiteSpaceInSecrets(t *testing.T) {
	for value, want := range map[string]string{
		"secret\n": "must not contain a line break", "sec\r\nret": "must not contain a line break",
		" secret": "must not begin or end with white space", "secret\t": "must not begin or end with white space",
		"secret\u00a0": "must not begin or end with white space", "sec\tret": "must not contain control characters",
		"sec ret/+=": "", strings.Repeat("s", maxSecret+1): "must have at most",
	} {
		for _, field := range []string{keyIDCredential, secretCredential} {
			given, wrong := credentials{keyIDCredential: catalog.NewSecret("a"), secretCredential: catalog.NewSecret("s")}, fieldErrors{}
			given[field] = catalog.NewSecret(value)
			given.check(catalog.TypeS3, "", nil, wrong)
			if got := wrong["credentials."+field]; !strings.HasPrefix(got, want) || want == "" && got != "" {
				t.Errorf("%.20q: %q, want %q", value, got, want)
			}
		}
	}
}

// TestCredentialsAreNeverShown has a secret in every wrong place.
func TestCredentialsAreNeverShown(t *testing.T) {
	for _, body := range []string{
		`"` + secretText + `"`, `["` + secretText + `"]`, `{"secretAccessKey":["` + secretText + `"]}`,
		`{"secretAccessKey":{"` + secretText + `":1}}`, `{"credentials":{"type":"` + secretText + `"}}`,
		`{"secretAccessKey":"` + secretText + `","accessKeyId":"` + secretText + `"}`, `{"sessionToken":"` + secretText + `"}`,
	} {
		var given credentials
		err := json.Unmarshal([]byte(body), &given)
		wrong := fieldErrors{}
		given.check(catalog.TypeGCS, "", nil, wrong)
		given.check(catalog.TypeS3, "", nil, wrong)
		details, _ := json.Marshal(toErrorOrNil(err))
		shown := fmt.Sprint(err, string(details), wrong, given) + fmt.Sprintf("%+v %#v", given, given)
		if strings.Contains(shown, secretText) {
			t.Errorf("%s shows the secret: %s", body, shown)
		}
	}
}

func toErrorOrNil(err error) any {
	if err == nil {
		return nil
	}
	return toError(context.Background(), badJSON(err)).Details
}
