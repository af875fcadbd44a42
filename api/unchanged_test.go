package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider/mem"
)

// googleKey is the JSON of a key in a body.
func googleKey(email string) map[string]any {
	return map[string]any{"type": "service_account", "client_email": email, "private_key_id": "0123456789abcdef", "private_key": secretText}
}

// TestSentBackUnchanged sends back what was read of a destination of any type, or a part of
// it: the stored credentials stay as they are, and so does the destination's verification.
func TestSentBackUnchanged(t *testing.T) {
	checks := flag.Lookup("rapid.checks").Value
	usual := checks.String()
	defer func() { _ = checks.Set(usual) }()
	_ = checks.Set("30") // of seven requests each
	r := newRig(t, mem.Options{})
	emails := rapid.SampledFrom([]string{"a@p.iam.gserviceaccount.com", "b@p.iam.gserviceaccount.com"})
	rapid.Check(t, func(rt *rapid.T) {
		typ := rapid.SampledFrom(allTypes()).Draw(rt, "type")
		given, endpoint := map[string]any{}, ""
		if typ == catalog.TypeS3 || typ == catalog.TypeSpaces {
			given["accessKeyId"] = rapid.StringMatching(`[A-Z0-9]{1,20}`).Draw(rt, "key id")
			given["secretAccessKey"] = secretText
			if typ == catalog.TypeS3 && rapid.Bool().Draw(rt, "temporary") {
				given["sessionToken"] = secretText
			}
		} else {
			switch endpoint = rapid.SampledFrom([]string{"", "http://allowed:9"}).Draw(rt, "endpoint"); rapid.IntRange(0, 2).Draw(rt, "form") {
			case 0:
				given["keyFilename"] = "key.json"
			case 1:
				given["credentials"] = googleKey(emails.Draw(rt, "email"))
			default:
				endpoint = "http://allowed:9" // an emulator needs no key
			}
			if rapid.Bool().Draw(rt, "project") {
				given["projectId"] = "p"
			}
		}
		body, _ := json.Marshal(map[string]any{
			"name": "n", "type": typ, "bucket": "backups-bucket", "path": "a/b", "region": "r", "endpoint": endpoint, "credentials": given,
		})
		path := "/api/v1/storage/destinations/" + r.owner("POST", "/api/v1/storage/destinations", string(body)).at("data", "id").(string)
		r.owner("POST", path+"/verify", "")
		before := r.stored(path)

		read := r.owner("GET", path, "").at("data").(map[string]any)
		maps.DeleteFunc(read, func(name string, _ any) bool { return rapid.IntRange(0, 3).Draw(rt, name) == 0 })
		if shown, ok := read["credentials"].(map[string]any); ok {
			maps.DeleteFunc(shown, func(name string, _ any) bool { return rapid.IntRange(0, 3).Draw(rt, name) == 0 })
		}
		back, _ := json.Marshal(read)
		if a := r.do(catalog.RoleOwner, "PUT", path, string(back)); a.status != 200 {
			rt.Fatalf("PUT %s: %d %s", back, a.status, a.raw)
		}
		after := r.stored(path)
		if !maps.EqualFunc(before.Sealed, after.Sealed, bytes.Equal) || !maps.Equal(before.Masked, after.Masked) ||
			!after.Verified || after.Revision != before.Revision {
			rt.Fatalf("PUT %s changed %v into %v", back, before, after)
		}
		r.owner("DELETE", path, "")
	})
}

// stored returns the destination at a path of the API as the catalog has it.
func (r *rig) stored(path string) (d *pb.Destination) {
	r.t.Helper()
	id := r.owner("GET", path, "").at("data", "id").(string)
	if err := r.catalog.View(func(tx *catalog.Tx) (err error) {
		d, err = tx.Destination(org, id)
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return d
}

// TestCredentialsInPart changes single fields of credentials.
func TestCredentialsInPart(t *testing.T) {
	r := newRig(t, mem.Options{})
	sealed := func(plain string) []byte { text, _ := r.Seal("", "", "", plain); return text }
	path := "/api/v1/storage/destinations/" + r.destination()
	r.owner("PUT", path, `{"credentials":{"accessKeyId":"AKIA...MPLE","secretAccessKey":"another"}}`)
	d := r.stored(path)
	if !bytes.Equal(d.Sealed["secretAccessKey"], sealed("another")) || !bytes.Equal(d.Sealed["accessKeyId"], sealed("AKIAIOSFODNN7EXAMPLE")) || len(d.Sealed) != 2 {
		t.Errorf("a new secret beside a mask is stored as %v", d.Sealed)
	}

	for _, c := range []struct {
		given   string
		token   string // stored afterwards
		refused bool
	}{
		{`{"accessKeyId":"ASIAONE","secretAccessKey":"s","sessionToken":"first"}`, "first", false},
		{`{"secretAccessKey":"another"}`, "first", true},
		{`{"secretAccessKey":"another","sessionToken":"second"}`, "second", false},
		{`{"accessKeyId":"..."}`, "second", false},
		{`{"accessKeyId":"ASIATWO","secretAccessKey":"s"}`, "second", true},
		{`{"accessKeyId":"AKIATWO","secretAccessKey":"s"}`, "", false},
		{`{"sessionToken":"third"}`, "third", false},
		{`{"secretAccessKey":"s","sessionToken":""}`, "", false},
	} {
		a := r.do(catalog.RoleOwner, "PUT", path, `{"credentials":`+c.given+`}`)
		if c.refused && a.refused(400, CodeValidation)["credentials.sessionToken"] == nil {
			t.Errorf("%s: %s", c.given, a.raw)
		}
		d := r.stored(path)
		if token := d.Sealed["sessionToken"]; c.token == "" && token != nil || c.token != "" && !bytes.Equal(token, sealed(c.token)) || d.Masked["sessionToken"] != "" {
			t.Errorf("after %s the token is %s, shown as %v", c.given, token, d.Masked)
		}
	}

	key := func(email string) string { text, _ := json.Marshal(googleKey(email)); return string(text) }
	body := `{"name":"n","type":"gcs","bucket":"backups-bucket","credentials":{"credentials":` + key("a@x.iam.gserviceaccount.com") + `,"projectId":"mine"}}`
	path = "/api/v1/storage/destinations/" + r.owner("POST", "/api/v1/storage/destinations", body).at("data", "id").(string)
	for _, c := range []struct {
		given string
		shown map[string]string
		field string // stored beside the project
	}{
		{`{}`, map[string]string{"projectId": "mine", "clientEmail": "a@x.iam.gserviceaccount.com", "privateKeyId": "0123...cdef"}, "credentials"},
		{
			`{"clientEmail":"a@x.iam.gserviceaccount.com","credentials":` + key("b@x.iam.gserviceaccount.com") + `}`,
			map[string]string{"projectId": "mine", "clientEmail": "b@x.iam.gserviceaccount.com", "privateKeyId": "0123...cdef"},
			"credentials",
		},
		{`{"keyFilename":"key.json"}`, map[string]string{"projectId": "mine", "keyFilename": "key.json"}, "keyFilename"},
	} {
		r.owner("PUT", path, `{"credentials":`+c.given+`}`)
		if d := r.stored(path); !maps.Equal(d.Masked, c.shown) || d.Sealed[c.field] == nil || len(d.Sealed) != 2 {
			t.Errorf("after %s: shown %v, stored %v", c.given, d.Masked, d.Sealed)
		}
	}
	a := r.do(catalog.RoleOwner, "PUT", path, `{"credentials":{"clientEmail":"c@x.iam.gserviceaccount.com"}}`)
	if fields := a.refused(400, CodeValidation); fields["credentials.clientEmail"] == nil {
		t.Errorf("a change of what is only shown: %s", a.raw)
	}
}
