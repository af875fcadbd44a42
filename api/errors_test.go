package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/cluster"
	"firescan/deletion"
	"firescan/provider"
	"firescan/provider/mem"
)

// TestErrorsOfTheSpecification compares errors with the examples of the specification.
func TestErrorsOfTheSpecification(t *testing.T) {
	r := newRig(t, mem.Options{})
	path := "/api/v1/storage/destinations/" + r.destination()
	r.deletes.outcomes = []deletion.Outcome{{Err: &catalog.Error{Code: catalog.CodeNotOrphan, Message: "a belongs to a backup"}}}
	verify := func(e *provider.Error) *response {
		r.openErr = e
		return r.do(catalog.RoleMember, "POST", path+"/verify", "")
	}
	for _, c := range []struct {
		response *response
		want     string
	}{
		{
			r.do(catalog.RoleViewer, "GET", "/api/v1/storage/destinations/storage_none", ""),
			`{"success":false,"error":{"code":"STORAGE_NOT_FOUND","message":"Storage destination not found"}}`,
		},
		{
			verify(&provider.Error{Kind: provider.Credentials, Op: "list", Reason: "The AWS Access Key Id you provided does not exist"}),
			`{"success":false,"error":{"code":"INVALID_CREDENTIALS","message":"Failed to connect to storage provider",
				"details":{"provider":"S3","reason":"The AWS Access Key Id you provided does not exist"}}}`,
		},
		{
			verify(&provider.Error{Kind: provider.NoBucket, Op: "list", Bucket: "my-bucket"}),
			`{"success":false,"error":{"code":"BUCKET_NOT_FOUND","message":"Bucket 'my-bucket' does not exist or is not accessible"}}`,
		},
		{
			r.do(catalog.RoleMember, "DELETE", path+"/files", `{"path":"backups/production/a.backup"}`),
			`{"success":false,"error":{"code":"PERMISSION_DENIED","message":"Only admins and owners can delete storage files"}}`,
		},
		{
			r.do(catalog.RoleOwner, "DELETE", path+"/files", `{"path":"backups/production/a.backup"}`),
			`{"success":false,"error":{"code":"FILE_NOT_ORPHAN","message":"File is associated with a backup and cannot be deleted directly"}}`,
		},
	} {
		var want map[string]any
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(c.response.body, want) {
			t.Errorf("got %s\nwant %s", c.response.raw, c.want)
		}
	}
}

// TestProviderErrors checks each kind of failure. Only the reason may be in the
// response.
func TestProviderErrors(t *testing.T) {
	for kind, want := range map[provider.Kind]Code{
		provider.Credentials: CodeCredentials, provider.NoBucket: CodeBucketNotFound, provider.Denied: CodeProviderDenied, provider.Retained: CodeProviderDenied,
		provider.Forbidden: CodeValidation, provider.Invalid: CodeValidation, provider.Throttled: CodeProvider,
		provider.Unavailable: CodeProvider, provider.Corrupt: CodeProvider, provider.Exists: CodeBucketExists,
	} {
		e := toError(t.Context(), &provider.Error{Kind: kind, Op: "list", Bucket: "b", Reason: "because", Err: errors.New("inner matters")})
		if e.Code != want || strings.Contains(e.Message, "inner") {
			t.Errorf("%v maps to %s %q, want %s", kind, e.Code, e.Message, want)
		}
		details, err := json.Marshal(e.Details)
		if err != nil || strings.Contains(string(details), "inner") || kind != provider.NoBucket && kind != provider.Exists && !strings.Contains(string(details), "because") {
			t.Errorf("%v has the details %s", kind, details)
		}
	}
}

// TestEveryCodeHasItsStatus has the statuses of design §6, written by hand.
func TestEveryCodeHasItsStatus(t *testing.T) {
	for status, codes := range map[int][]Code{
		400: {CodeValidation, CodeCredentials},
		401: {CodeUnauthorized},
		403: {CodeDenied, CodeProviderDenied},
		404: {CodeNotFound, CodeStorageNotFound, CodeBucketNotFound, CodeBackupNotFound, CodeFileNotFound},
		405: {CodeMethod},
		409: {CodeStorageInUse, CodeBucketExists, CodeBeingDeleted, CodeNotOrphan, CodeCleanupTooLarge, CodeSyncInProgress, CodeIdentityUnsettled, CodeConflict},
		413: {CodeTooLarge},
		415: {CodeMediaType},
		429: {CodeRateLimited},
		500: {CodeInternal, "SOMETHING_ELSE"},
		502: {CodeProvider},
		503: {CodeNoLeader, CodeIndexUnavailable},
	} {
		for _, code := range codes {
			if code.Status() != status {
				t.Errorf("%s has status %d, want %d", code, code.Status(), status)
			}
		}
	}
}

// TestSecretsAreNotEchoed sends secrets in wrong places, and searches for them in
// responses, log and catalog.
func TestSecretsAreNotEchoed(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	const path = "/api/v1/storage/destinations"
	number := `31415926535897`
	for _, body := range []string{
		strings.Replace(createBody, `"`+secretText+`"`, `["`+secretText+`"]`, 1),
		strings.Replace(createBody, `"`+secretText+`"`, `{"`+secretText+`":1}`, 1),
		strings.Replace(createBody, `"`+secretText+`"`, number, 1),
		strings.Replace(createBody, secretText, secretText+`\q`, 1),
		strings.Replace(createBody, secretText, secretText+"\xff", 1),
		createBody + secretText,
		createBody[:len(createBody)-8],
	} {
		for _, a := range []*response{
			r.do(catalog.RoleOwner, "POST", path, body),
			r.do(catalog.RoleOwner, "PUT", path+"/"+id, body),
		} {
			a.refused(400, CodeValidation)
			if strings.Contains(string(a.raw), secretText) || strings.Contains(string(a.raw), number) {
				t.Errorf("the response shows the secret: %s", a.raw)
			}
		}
	}
	r.owner("PUT", path+"/"+id, `{"credentials":{"accessKeyId":"AKIAI44QH8DHBEXAMPLE","secretAccessKey":"`+secretText+`"}}`)
	shown := r.owner("GET", path+"/"+id, "")
	if got := shown.at("data", "credentials"); !reflect.DeepEqual(got, map[string]any{"accessKeyId": "AKIA...MPLE"}) {
		t.Errorf("credentials are shown as %v", got)
	}
	if log := r.log.String(); strings.Contains(log, secretText) || strings.Contains(log, number) || strings.Contains(log, "AKIAI44QH8DHBEXAMPLE") {
		t.Error("the log shows credentials")
	}
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		d, err := tx.Destination(org, id)
		if err != nil {
			return err
		}
		if text := d.String(); strings.Contains(text, secretText) || strings.Contains(text, "AKIAI44QH8DHBEXAMPLE") {
			t.Errorf("the catalog holds credentials in the clear: %s", text)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestDestinationChangesDuringVerify must not end as verified: other settings were
// tried.
func TestDestinationChangesDuringVerify(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	path := "/api/v1/storage/destinations/" + id
	r.server.destinations.buckets = changing{r, func() { r.owner("PUT", path, `{"bucket":"another-bucket"}`) }}
	r.do(catalog.RoleMember, "POST", path+"/verify", "").refused(409, CodeConflict)
	if r.owner("GET", path, "").at("data", "verified") != false {
		t.Error("it counts as verified")
	}
}

// changing runs a function while a bucket is opened.
type changing struct {
	Buckets
	meanwhile func()
}

func (c changing) Open(ctx context.Context, d *pb.Destination) (provider.Bucket, error) {
	c.meanwhile()
	return c.Buckets.Open(ctx, d)
}

// TestClusterErrors: what the cluster cannot do at the moment is a 503, however it is
// wrapped. A cancellation is the client's only when its own request has ended.
func TestClusterErrors(t *testing.T) {
	for _, cause := range []error{
		cluster.ErrFull, cluster.ErrClosed, cluster.ErrUnknown, cluster.ErrNoLeader,
		fmt.Errorf("%w (%w)", cluster.ErrNoLeader, context.Canceled),
		fmt.Errorf("%w: %w", cluster.ErrUnknown, context.Canceled), // by us, since the leader stepped down
		fmt.Errorf("%w: %w", cluster.ErrUnknown, context.DeadlineExceeded), fmt.Errorf("%w: %w", cluster.ErrUnknown, io.EOF),
	} {
		e := toError(t.Context(), fmt.Errorf("propose: %w", cause))
		if e.Code != CodeNoLeader || e.Message == "" || !errors.Is(e, cause) {
			t.Errorf("%v became %v", cause, e)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if e := toError(ended, fmt.Errorf("%w: %w", cluster.ErrUnknown, context.Canceled)); e.Code != codeClientClosed {
		t.Errorf("the client went away: %v", e)
	}
}

func TestDeletionErrors(t *testing.T) {
	for err, code := range map[error]Code{
		deletion.ErrNotFound: CodeFileNotFound, deletion.ErrChanged: CodeConflict, deletion.ErrFolder: CodeConflict, deletion.ErrTooManyFiles: CodeConflict, deletion.ErrUnconfirmed: CodeProvider,
		deletion.ErrRecordKept: CodeNoLeader, deletion.ErrNeverSynced: CodeConflict, deletion.ErrStopping: CodeNoLeader,
		// The state of the file counts, not why the provider did not confirm.
		fmt.Errorf("%w: %w", deletion.ErrUnconfirmed, &provider.Error{Kind: provider.Denied}): CodeProvider,
	} {
		if e := toError(t.Context(), fmt.Errorf("wrapped: %w", err)); e.Code != code || e.Message == "" || !errors.Is(e, err) {
			t.Errorf("%v became %v", err, e)
		}
	}
	for name, c := range map[string]struct {
		plan deletion.PlanError
		code Code
		says string
	}{
		"too large": {deletion.PlanError{Plan: deletion.Plan{Hash: "abc", Files: 3, Of: 4, Guards: []deletion.Guard{{Saw: "3 of 4 files, more than half"}}}}, CodeCleanupTooLarge, "3 of 4 files, more than half"},
		"unknown":   {deletion.PlanError{Plan: deletion.Plan{Hash: "abc", Files: 3, Of: 9, Guards: []deletion.Guard{{Saw: "no backup is known"}}}}, CodeCleanupTooLarge, "no backup is known"},
		"another":   {deletion.PlanError{Plan: deletion.Plan{Hash: "abc", Files: 3, Of: 9}, Confirmed: true}, CodeConflict, "3 of 9 files"},
	} {
		e := toError(t.Context(), fmt.Errorf("wrapped: %w", &c.plan))
		if e.Code != c.code || !strings.Contains(e.Message, c.says) {
			t.Errorf("%s: %v", name, e)
		}
		if details, err := json.Marshal(e.Details); err != nil || !strings.Contains(string(details), `"planHash":"abc"`) || !strings.Contains(string(details), `"orphans":3`) {
			t.Errorf("%s: details %s, %v", name, details, err)
		}
	}
}

func TestClockError(t *testing.T) {
	e := toError(t.Context(), fmt.Errorf("cleanup: %w", &deletion.ClockError{Offset: -2 * time.Hour}))
	if e.Code != CodeConflict || !strings.Contains(e.Message, "The clock of the storage provider is 2h0m0s behind") {
		t.Errorf("%v", e)
	}
}
