// Package gcs speaks to Google Cloud Storage, which is also where Firebase keeps files,
// and to emulators of it, through its JSON API.
package gcs

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"cloud.google.com/go/storage"
	"google.golang.org/api/option"

	"firescan/provider"
)

// Config is the configuration of an account.
type Config struct {
	// Firebase is set for an account of Firebase Storage. It is the same service; only
	// errors about bucket names differ.
	Firebase bool
	// ProjectID is the project whose buckets are listed and made; empty is the key's own.
	ProjectID string
	// Key is the JSON key of a service account. KeyFilename is the name or the whole path of
	// a file that holds one, in the directory KeyOwner of KeyDir. One of the two is required.
	Key, KeyFilename string
	// KeyDir is where the node's operator keeps key files, in a directory per organization;
	// empty allows none.
	KeyDir, KeyOwner string
	// Location is where buckets are made; empty leaves that to Google.
	Location string
	// Endpoint is the URL (scheme, host, port) of an emulator; empty, as its own URL, is
	// Google. An emulator is asked without any authentication, and of the key, which it can
	// do without, nothing but the project is looked at.
	Endpoint string
	// HTTPClient sends every request. It is required, because it carries the rules of
	// where we may connect to; see provider.Egress.
	HTTPClient *http.Client
}

// New makes an Account. It makes no request; credentials that Google does not know show
// at the first call.
func New(c Config) (provider.Account, error) {
	if c.HTTPClient == nil {
		return nil, errors.New("gcs: an HTTP client is required")
	}
	if c.ProjectID != "" && !projectID.MatchString(c.ProjectID) {
		return nil, unfit("projectId is not the id of a Google Cloud project")
	}
	a := &account{firebase: c.Firebase, location: c.Location, project: c.ProjectID}
	root, emulator, err := origin(c.Endpoint)
	if err != nil {
		return nil, err
	}
	client := *c.HTTPClient
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a.emulator = emulator
	var project string
	if emulator {
		text, err := c.text()
		if err != nil {
			return nil, err
		}
		project = projectOf(text)
	} else {
		k, err := c.key()
		if err != nil {
			return nil, err
		}
		project = k.project
		next := client.Transport
		if next == nil {
			next = http.DefaultTransport
		}
		client.Transport = &authorizer{next: next, tokens: newTokens(k, c.HTTPClient)}
	}
	if a.project == "" {
		a.project = project
	}
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	client.Transport = a.clock.Measure(client.Transport)
	a.root, a.base, a.http = root, root+"/storage/v1/", &client
	// Credentials and settings come from the configuration alone, never from the machine's
	// environment, files or metadata: one process serves many organizations. Without
	// authentication the library uses none of them; our client has what it needs.
	a.client, err = storage.NewClient(context.Background(),
		option.WithHTTPClient(a.http), option.WithEndpoint(a.base), option.WithoutAuthentication(),
		option.WithLogger(slog.New(slog.DiscardHandler)), storage.WithDisabledClientMetrics(),
	)
	if err != nil {
		return nil, &provider.Error{Kind: provider.Internal, Op: "connect", Reason: "the client could not be made", Err: err}
	}
	a.client.SetRetry(storage.WithPolicy(storage.RetryNever)) // provider.Retry is the one that retries
	return a, nil
}

// text finds the JSON of a configuration's key; it is empty when there is none.
func (c *Config) text() ([]byte, error) {
	switch {
	case c.Key != "" && c.KeyFilename != "":
		return nil, unfit("either keyFilename or credentials can be given, not both")
	case c.KeyFilename != "":
		return readKeyFile(c.KeyDir, c.KeyOwner, c.KeyFilename)
	}
	return []byte(c.Key), nil
}

// key reads the one key of a configuration.
func (c *Config) key() (*key, error) {
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	if len(text) == 0 {
		return nil, unfit("the key of a service account is required: keyFilename, or projectId and credentials")
	}
	return parseKey(text)
}

func (a *account) Bucket(name string) provider.Bucket { return &bucket{account: a, name: name} }

func (a *account) CreateBucket(ctx context.Context, name, region string) error {
	b := &bucket{account: a, name: name}
	if err := b.usable(opCreate); err != nil {
		return err
	}
	if err := a.hasProject(opCreate); err != nil {
		return err
	}
	if region == "" {
		region = a.location
	}
	if err := a.client.Bucket(name).Create(ctx, a.project, &storage.BucketAttrs{Location: region}); err != nil {
		return b.failed(ctx, opCreate, err)
	}
	return nil
}

func (a *account) hasProject(op string) error {
	if a.project != "" {
		return nil
	}
	return &provider.Error{Kind: provider.Invalid, Op: op, Reason: "the project is not known: give projectId"}
}
