package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// oneDestination serves a destination named production, and returns response to all other
// requests. sent is the body of the last request.
func oneDestination(t *testing.T, response string) (url string, sent *string) {
	t.Helper()
	sent = new(string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		const shown = `{"id":"storage_1","name":"production","type":"S3"}`
		text := response
		switch r.Method + " " + r.URL.Path {
		case "GET /api/v1/storage/destinations":
			text = `{"success":true,"data":[` + shown + `]}`
		case "GET /api/v1/storage/destinations/storage_1":
			text = `{"success":true,"data":` + shown + `}`
		default:
			*sent = string(body)
		}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return server.URL, sent
}

// A script that checks a destination needs the exit code of verify.
func TestVerifyExitCode(t *testing.T) {
	for response, code := range map[string]int{
		`{"success":true,"data":{"verified":true,"permissions":{"read":true,"write":false,"delete":false}}}`:   exitOK,
		`{"success":true,"data":{"verified":false,"permissions":{"read":false,"write":false,"delete":false}}}`: exitFailed,
		`[]`: exitFailed,
	} {
		for _, as := range [][]string{nil, {"--json"}} {
			url, _ := oneDestination(t, response)
			a, out, errs := testApp(nil)
			args := append([]string{"destination", "verify", "production", "--addr", url, "--token", "t", "--org", "o"}, as...)
			if got := run(t.Context(), a, args); got != code {
				t.Errorf("%s: exit code %d, %s%s", response, got, out, errs)
			}
		}
	}
}

func TestUpdate(t *testing.T) {
	env := map[string]string{"AWS_ACCESS_KEY_ID": "AKIA2", "AWS_SECRET_ACCESS_KEY": "new"}
	for args, want := range map[string]string{
		"--name primary --path=":       `{"name":"primary","path":""}`,
		"--region eu-west-1":           `{"region":"eu-west-1"}`,
		"--credentials-from-env":       `{"credentials":{"accessKeyId":"AKIA2","secretAccessKey":"new"}}`,
		"--access-key-id AKIA3":        `{"credentials":{"accessKeyId":"AKIA3","secretAccessKey":"new"}}`,
		"":                             "nothing to change: give at least one flag",
		"--secret-access-key-file /no": "read a secret",
	} {
		url, sent := oneDestination(t, `{"success":true,"data":{"id":"storage_1"}}`)
		a, out, errs := testApp(env)
		line := append([]string{"destination", "update", "production", "--addr", url, "--token", "t", "--org", "o"}, strings.Fields(args)...)
		code := run(t.Context(), a, line)
		switch {
		case strings.HasPrefix(want, "{") && (code != exitOK || *sent != want || out.String() != "updated\n"):
			t.Errorf("%s: exit code %d, sent %s, %s%s", args, code, *sent, out, errs)
		case !strings.HasPrefix(want, "{") && (code == exitOK || *sent != "" || !strings.Contains(errs.String(), want)):
			t.Errorf("%s: exit code %d, sent %s, %s%s", args, code, *sent, out, errs)
		}
	}
}
