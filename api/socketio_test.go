package api

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"firescan/api/socketio"
	"firescan/catalog"
	"firescan/provider/mem"
)

// TestSocketIOTokens connects with the token where clients put it: in auth, in a header, in
// the query; with a scheme and without.
func TestSocketIOTokens(t *testing.T) {
	r := newRig(t, mem.Options{})
	app, token := sockets{r.server.backend, r.server.hub}, r.tokens[catalog.RoleViewer]
	long := strings.Repeat("x", maxOpeningToken)
	for _, c := range []struct {
		auth, header, query string
		want                Code // empty: connected
	}{
		{`{"token":"` + token + `"}`, "", "", ""},
		{`{"token":"Bearer ` + token + `"}`, "", "", ""},
		{`{"token":"` + token + `","organizationId":"` + org + `"}`, "", "", ""},
		{"", token, "", ""},
		{"", "Bearer " + token, "", ""},
		{"{}", "bearer  " + token, "", ""},
		{"", "", token, ""},
		{"", "", "Bearer " + token, ""},
		{`{"organizationId":"` + org + `"}`, "", token, ""},
		{`{"token":"` + token + `"}`, "Bearer fsk_unknown", "fsk_unknown", ""}, // auth goes first
		{`{"organizationId":"org2"}`, token, "", CodeDenied},
		{"", r.tokens[catalog.RoleRoot], "", CodeDenied},
		{"", "fsk_unknown", token, CodeUnauthorized},
		{"", "Basic " + token, "", CodeUnauthorized},
		{"", token + long, "", CodeUnauthorized},
		{"", "", "", CodeUnauthorized},
		{"7", "", token, CodeValidation},
	} {
		req := httptest.NewRequestWithContext(t.Context(), "GET", socketPath+"?"+url.Values{"token": {c.query}}.Encode(), nil)
		req.Header.Set("Authorization", c.header)
		client, err := app.Connect(r.server.backend.openSocket(req), []byte(c.auth))
		if err == nil {
			client.Close(false)
		}
		refused, _ := errors.AsType[*socketio.Refusal](err)
		if (err == nil) != (c.want == "") || err != nil && (refused == nil || refused.Data.(refusalData).Code != c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
