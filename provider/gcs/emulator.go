package gcs

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"firescan/provider"
)

// origin is the scheme, host and port of an endpoint, and whether it is an emulator's.
func origin(endpoint string) (root string, emulator bool, err error) {
	const google = "https://" + googleHost
	if endpoint == "" {
		return google, false, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", false, &provider.Error{Kind: provider.Invalid, Op: "connect", Reason: "the endpoint of an emulator is a URL such as https://host:port, without a path"}
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if u.Scheme == "https" && host == googleHost && (u.Port() == "" || u.Port() == "443") {
		return google, false, nil
	}
	return u.Scheme + "://" + u.Host, true, nil
}

// projectOf is the project that a key names; "" when it names none.
func projectOf(key []byte) string {
	var given struct {
		Project string `json:"project_id"`
	}
	if json.Unmarshal(key, &given) != nil || !projectID.MatchString(given.Project) {
		return ""
	}
	return given.Project
}

// listEmulatedBuckets lists the buckets at /b, where alone the Firebase Storage emulator
// has them (firebase-tools 14, src/emulator/storage/apis/gcloud.ts).
func (a *account) listEmulatedBuckets(ctx context.Context) ([]provider.BucketInfo, error) {
	list, err := a.bucketPage(ctx, a.root+"/b")
	if err != nil {
		return nil, err
	}
	return list.infos(), nil
}
