package gcs

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/api/googleapi"

	"firescan/provider"
)

// Buckets lists the buckets of the project; see provider.Account. It does not use the
// library, which takes a kilobyte of memory for an empty object of three bytes.
func (a *account) Buckets(ctx context.Context) ([]provider.BucketInfo, error) {
	if err := a.hasProject(opBuckets); err != nil && !a.emulator {
		return nil, err
	}
	infos, err := a.listBuckets(ctx)
	if err != nil && a.emulator {
		if others, otherErr := a.listEmulatedBuckets(ctx); otherErr == nil {
			infos, err = others, nil
		}
	}
	if err != nil {
		return nil, a.failed(ctx, opBuckets, "", err)
	}
	slices.SortFunc(infos, func(x, y provider.BucketInfo) int { return strings.Compare(x.Name, y.Name) })
	return infos, nil
}

func (a *account) listBuckets(ctx context.Context) (infos []provider.BucketInfo, err error) {
	query := url.Values{
		"project": {a.project}, "alt": {"json"}, "prettyPrint": {"false"}, "fields": {"kind,nextPageToken,items(name,location,timeCreated)"},
	}
	for range maxBarren {
		list, err := a.bucketPage(ctx, a.base+"b?"+query.Encode())
		if err != nil {
			return nil, err
		}
		infos = append(infos, list.infos()...)
		switch {
		case list.Next == "":
			return infos, nil
		case list.Next == query.Get("pageToken"):
			return nil, &provider.Untrusted{Cause: errRepeated}
		case len(infos) > provider.MaxBuckets:
			return nil, &provider.Untrusted{Cause: provider.ErrTooManyBuckets}
		}
		query.Set("pageToken", list.Next)
	}
	return nil, &provider.Untrusted{Cause: errBarren}
}

// A bucketList is one page of buckets.
// https://cloud.google.com/storage/docs/json_api/v1/buckets/list
type bucketList struct {
	Kind  string       `json:"kind"`
	Next  string       `json:"nextPageToken"`
	Items []bucketItem `json:"items"`
}

type bucketItem provider.BucketInfo

// UnmarshalJSON reads a bucket. One without a name is an error, so that a response of many
// does not take much memory.
func (b *bucketItem) UnmarshalJSON(text []byte) error {
	var item struct {
		Name     string    `json:"name"`
		Location string    `json:"location"`
		Created  time.Time `json:"timeCreated"`
	}
	if err := json.Unmarshal(text, &item); err != nil {
		return err
	}
	if !bucketName.MatchString(item.Name) {
		return &provider.Untrusted{Cause: errNoBucketName}
	}
	*b = bucketItem{Name: item.Name, Region: strings.ToLower(item.Location), CreatedAt: item.Created}
	return nil
}

func (l *bucketList) infos() (infos []provider.BucketInfo) {
	for _, b := range l.Items {
		infos = append(infos, provider.BucketInfo(b))
	}
	return infos
}

func (a *account) bucketPage(ctx context.Context, address string) (list bucketList, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return list, err
	}
	request.Header.Set("User-Agent", agent)
	response, err := a.http.Do(request)
	if err != nil {
		return list, err
	}
	defer response.Body.Close()
	if err := googleapi.CheckResponse(response); err != nil {
		return list, err
	}
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return list, err
	}
	if list.Kind != "storage#buckets" {
		return list, &provider.Untrusted{Cause: errNotAPage}
	}
	return list, nil
}
