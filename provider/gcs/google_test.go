package gcs_test

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"maps"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// google is Cloud Storage as its documentation has it, as far as we use it, and pickier
// than that: bounds that are no names are refused. It stands at Google's host names, for
// the client that it gives.
type google struct {
	pageSize int // of lists; 0 is Google's
	// barren has every second answer to a list be empty, with a token.
	barren bool

	mu         sync.Mutex
	buckets    map[string]map[string]object
	generation int64
	tokens     map[string]time.Time
	// refuse, when set, handles a request in its place.
	refuse func(w http.ResponseWriter, r *http.Request) bool
	// permissions are what everybody has; nil is all.
	permissions []string
	requests    map[string]int // by method and first word of the path
	// versions, when not nil, are the noncurrent objects of all buckets, by name; metadata are
	// those of all buckets. Nobody may read the latter while they are nil.
	versions map[string][]object
	metadata map[string]any
}

type object struct {
	Name       string    `json:"name"`
	Size       int64     `json:"size,string"`
	Updated    time.Time `json:"updated"`
	Generation int64     `json:"generation,string"`
	CRC        string    `json:"crc32c,omitempty"`
}

func newGoogle() *google {
	return &google{
		buckets: map[string]map[string]object{}, generation: 1_700_000_000_000_000,
		tokens: map[string]time.Time{}, requests: map[string]int{},
	}
}

// client is one for whom this is Google.
func (g *google) client(t *testing.T) *http.Client {
	t.Helper()
	server := httptest.NewUnstartedServer(g)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that calls gave up
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		},
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the test's own server
		DisableCompression: true, MaxIdleConnsPerHost: 256,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (g *google) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests[r.Method+" "+r.Host]++
	if g.refuse != nil && g.refuse(w, r) {
		return
	}
	switch r.Host {
	case "oauth2.googleapis.com":
		g.signIn(w, r)
	case "storage.googleapis.com":
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !time.Now().Before(g.tokens[token]) {
			fail(w, http.StatusUnauthorized, "authError", "Invalid Credentials")
			return
		}
		g.storage(w, r)
	default:
		fail(w, http.StatusNotFound, "notFound", "no such host: "+r.Host)
	}
}

// signIn exchanges a signed claim for a token, as RFC 7523 has it.
func (g *google) signIn(w http.ResponseWriter, r *http.Request) {
	var claims struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	refuse := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":%q,"error_description":"a text that quotes %s"}`, code, r.FormValue("assertion"))
	}
	parts := strings.Split(r.FormValue("assertion"), ".")
	if len(parts) != 3 || r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		refuse("invalid_request")
		return
	}
	text, _ := base64.RawURLEncoding.DecodeString(parts[1])
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	now := time.Now().Unix()
	switch {
	case json.Unmarshal(text, &claims) != nil:
		refuse("invalid_request")
	case rsa.VerifyPKCS1v15(&private().PublicKey, crypto.SHA256, digest[:], signature) != nil,
		claims.Iss != email, claims.Aud != "https://oauth2.googleapis.com/token",
		claims.Iat > now, claims.Exp < now, claims.Exp > claims.Iat+3600:
		refuse("invalid_grant")
	case claims.Scope != "https://www.googleapis.com/auth/devstorage.read_write":
		refuse("invalid_scope")
	default:
		token := fmt.Sprint("ya29.token-", len(g.tokens))
		g.tokens[token] = time.Now().Add(time.Hour)
		fmt.Fprintf(w, `{"access_token":%q,"expires_in":3600,"token_type":"Bearer"}`, token)
	}
}

func (g *google) storage(w http.ResponseWriter, r *http.Request) {
	path, upload := strings.CutPrefix(r.URL.EscapedPath(), "/upload")
	path = strings.TrimPrefix(path, "/storage/v1/b")
	var name, rest string
	if path != "" {
		name, rest, _ = strings.Cut(path[1:], "/")
	}
	bucket, known := g.buckets[name]
	switch {
	case name == "" && r.Method == http.MethodGet:
		g.listBuckets(w)
	case name == "":
		g.createBucket(w, r)
	case !known:
		fail(w, http.StatusNotFound, "notFound", "The specified bucket does not exist.")
	case rest == "iam/testPermissions":
		has := slices.DeleteFunc(r.URL.Query()["permissions"], func(p string) bool {
			return g.permissions != nil && !slices.Contains(g.permissions, p)
		})
		answer(w, map[string]any{"kind": "storage#testIamPermissionsResponse", "permissions": has})
	case upload:
		g.put(w, r, bucket)
	case rest == "" && g.metadata == nil:
		fail(w, http.StatusForbidden, "forbidden", "does not have storage.buckets.get access")
	case rest == "":
		answer(w, g.metadata)
	case rest == "o" && r.URL.Query().Get("versions") == "true":
		g.listVersions(w, r.URL.Query().Get("prefix"), bucket)
	case rest == "o":
		g.list(w, r.URL.Query(), bucket)
	default:
		key, err := url.PathUnescape(strings.TrimPrefix(rest, "o/"))
		if err != nil || strings.Contains(rest[2:], "/") {
			fail(w, http.StatusBadRequest, "invalid", "bad object path")
			return
		}
		g.object(w, r, bucket, key)
	}
}

func (g *google) listBuckets(w http.ResponseWriter) {
	items := []map[string]string{}
	for name := range g.buckets { // in no order
		items = append(items, map[string]string{"name": name, "location": "EUROPE-WEST3", "timeCreated": "2026-01-02T03:04:05.678Z"})
	}
	answer(w, map[string]any{"kind": "storage#buckets", "items": items})
}

func (g *google) createBucket(w http.ResponseWriter, r *http.Request) {
	var b struct{ Name string }
	if json.NewDecoder(r.Body).Decode(&b) != nil || b.Name == "" || r.URL.Query().Get("project") == "" {
		fail(w, http.StatusBadRequest, "invalid", "Invalid bucket")
		return
	}
	if _, taken := g.buckets[b.Name]; taken {
		fail(w, http.StatusConflict, "conflict", "Your previous request to create the named bucket succeeded and you already own it.")
		return
	}
	g.buckets[b.Name] = map[string]object{}
	answer(w, map[string]any{"name": b.Name})
}

func (g *google) put(w http.ResponseWriter, r *http.Request, bucket map[string]object) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || r.URL.Query().Get("uploadType") != "multipart" {
		fail(w, http.StatusBadRequest, "invalid", "not a multipart upload")
		return
	}
	parts := multipart.NewReader(r.Body, params["boundary"])
	var o object
	metadata, err := parts.NextPart()
	if err == nil {
		var named struct{ Name string }
		err = json.NewDecoder(metadata).Decode(&named)
		o.Name = named.Name
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "parseError", err.Error())
		return
	}
	content, err := parts.NextPart()
	var body []byte
	if err == nil {
		body, err = io.ReadAll(content)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "parseError", err.Error())
		return
	}
	if len(o.Name) > 1024 || !utf8.ValidString(o.Name) || strings.ContainsAny(o.Name, "\r\n") {
		fail(w, http.StatusBadRequest, "invalid", "Invalid object name")
		return
	}
	g.generation++
	sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	o.CRC = base64.StdEncoding.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	o.Size, o.Updated, o.Generation = int64(len(body)), time.Now().UTC(), g.generation
	if old, ok := bucket[o.Name]; ok && g.versions != nil {
		g.versions[o.Name] = append(g.versions[o.Name], old)
	}
	bucket[o.Name] = o
	answer(w, o)
}

func (g *google) object(w http.ResponseWriter, r *http.Request, bucket map[string]object, key string) {
	o, ok := bucket[key]
	if generation := r.URL.Query().Get("generation"); generation != "" && (!ok || generation != strconv.FormatInt(o.Generation, 10)) {
		g.noncurrent(w, r, key, generation)
		return
	}
	if !ok {
		fail(w, http.StatusNotFound, "notFound", "No such object: bucket/"+key)
		return
	}
	if want := r.URL.Query().Get("ifGenerationMatch"); want != "" && want != strconv.FormatInt(o.Generation, 10) {
		fail(w, http.StatusPreconditionFailed, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
		return
	}
	if r.Method == http.MethodDelete {
		delete(bucket, key)
		if g.versions != nil && !r.URL.Query().Has("generation") {
			g.versions[key] = append(g.versions[key], o)
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, o)
}

// noncurrent reads or deletes an older generation of an object.
func (g *google) noncurrent(w http.ResponseWriter, r *http.Request, key, generation string) {
	at := slices.IndexFunc(g.versions[key], func(o object) bool { return strconv.FormatInt(o.Generation, 10) == generation })
	switch {
	case at < 0:
		fail(w, http.StatusNotFound, "notFound", "No such object: bucket/"+key)
	case r.Method == http.MethodDelete:
		g.versions[key] = slices.Delete(g.versions[key], at, at+1)
		w.WriteHeader(http.StatusNoContent)
	default:
		answer(w, g.versions[key][at])
	}
}

// listVersions lists all generations below a prefix in one page.
func (g *google) listVersions(w http.ResponseWriter, prefix string, bucket map[string]object) {
	items := []object{}
	for name, o := range bucket {
		if strings.HasPrefix(name, prefix) {
			items = append(items, o)
		}
	}
	for name, list := range g.versions {
		if strings.HasPrefix(name, prefix) {
			items = append(items, list...)
		}
	}
	answer(w, map[string]any{"kind": "storage#objects", "items": items})
}

// list returns names and folded prefixes in one order, page by page. A token is what comes
// next, in a form that means nothing to others.
func (g *google) list(w http.ResponseWriter, query url.Values, bucket map[string]object) {
	prefix, start, end, delimiter := query.Get("prefix"), query.Get("startOffset"), query.Get("endOffset"), query.Get("delimiter")
	for _, bound := range []string{prefix, start, end} {
		if len(bound) > 1024 || !utf8.ValidString(bound) || strings.ContainsAny(bound, "\x00") {
			fail(w, http.StatusBadRequest, "invalid", "Invalid bound")
			return
		}
	}
	most, _ := strconv.Atoi(query.Get("maxResults"))
	if most = min(cmp.Or(most, 1000), cmp.Or(g.pageSize, 1000)); query.Get("fields") == "" {
		fail(w, http.StatusBadRequest, "invalid", "everything is asked for")
		return
	}
	page := struct {
		Kind          string   `json:"kind"`
		NextPageToken string   `json:"nextPageToken,omitempty"`
		Prefixes      []string `json:"prefixes,omitempty"`
		Items         []object `json:"items,omitempty"`
	}{Kind: "storage#objects"}
	at, barren := "", g.barren
	if token := query.Get("pageToken"); token != "" {
		text, err := base64.StdEncoding.DecodeString(token)
		if err != nil {
			fail(w, http.StatusBadRequest, "invalid", "Invalid token")
			return
		}
		at, barren = string(text[1:]), g.barren && text[0] == '1'
	}
	if barren {
		page.NextPageToken = base64.StdEncoding.EncodeToString([]byte("0" + at))
		answer(w, page)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(bucket)) {
		if name < start || end != "" && name >= end || !strings.HasPrefix(name, prefix) {
			continue
		}
		entry := name
		if cut := strings.Index(name[len(prefix):], delimiter); delimiter != "" && cut >= 0 {
			entry = name[:len(prefix)+cut+len(delimiter)]
		}
		if entry < at || len(page.Prefixes) > 0 && page.Prefixes[len(page.Prefixes)-1] == entry {
			continue
		}
		if len(page.Items)+len(page.Prefixes) == most {
			page.NextPageToken = base64.StdEncoding.EncodeToString([]byte("1" + entry))
			break
		}
		if entry == name && (delimiter == "" || !strings.Contains(name[len(prefix):], delimiter)) {
			o := bucket[name]
			o.CRC = "" // not asked for
			page.Items = append(page.Items, o)
		} else {
			page.Prefixes = append(page.Prefixes, entry)
		}
	}
	answer(w, page)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(v)
}

// fail responds as Google does, with a message that quotes what it should not.
func fail(w http.ResponseWriter, status int, reason, message string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": status, "message": message,
		"errors": []map[string]string{{"domain": "global", "reason": reason, "message": message}},
	}})
}
