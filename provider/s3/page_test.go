package s3

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firescan/provider"
)

// content returns a page in a form that can be compared.
func content(page *provider.Page) []string {
	var out []string
	for _, o := range page.Objects {
		at := "-"
		if o.ModTime != 0 {
			at = time.UnixMilli(o.ModTime).UTC().Format("2006-01-02T15:04:05.000Z")
		}
		out = append(out, fmt.Sprintf("%q %d %s %s", o.Key, o.Size, at, o.Tag))
	}
	for _, p := range page.Prefixes {
		out = append(out, fmt.Sprintf("folded %q", p))
	}
	return out
}

func TestGoldenPages(t *testing.T) {
	for _, c := range []struct {
		file    string
		w       window
		want    []string
		skipped int
		out     outcome
	}{
		{
			file: "amazon.xml", w: window{prefix: "fire/base "}, skipped: 1,
			want: []string{
				`"fire/base \x01\n\t" 5497558138880 2024-02-29T23:59:59.999Z d41d8cd98f00b204e9800998ecf8427e-12`,
				`"fire/base +&.backup" 434234 2025-10-12T17:50:30.000Z fba9dede5f27731c9771645a39863328`,
				`"fire/base 日本/<x>\"'%" 0 2009-10-12T17:50:30.000Z d41d8cd98f00b204e9800998ecf8427e`,
				`"fire/base 🔥" 1 2009-10-12T17:50:30.000Z d41d8cd98f00b204e9800998ecf8427e`,
			},
			out: outcome{truncated: true, token: "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=", last: "fire/base 🔥"},
		},
		{
			file: "amazon-delimiter.xml", w: window{delimiter: "/"},
			want: []string{
				`"a.meta.json" 12 2026-01-31T00:00:00.000Z fba9dede5f27731c9771645a39863328`,
				`folded "2025/"`, `folded "2026 new/"`, `folded "z+/"`,
			},
			out: outcome{last: "z+/", folded: true},
		},
		{
			file: "versitygw.xml",
			want: []string{
				`"a%20b+c" 7 2026-03-01T12:00:00.000Z 9b2cf535f27731c974343645a3985328`,
				`"grüße & <tag> \"x\" 'y'\n\t\r" 8 2026-03-01T12:00:01.000Z 9b2cf535f27731c974343645a3985328`,
				`"日本語/バックアップ" 0 2026-03-01T12:00:01.000Z 9b2cf535f27731c974343645a3985328`,
			},
			out: outcome{last: "日本語/バックアップ"},
		},
		{
			file: "minio.xml",
			want: []string{
				`"a+b%" 7 2026-03-31T12:00:00.123Z 9b2cf535f27731c974343645a3985328`,
				`"dir/f g" 9 2026-03-31T12:00:00.123Z 9b2cf535f27731c974343645a3985328`,
			},
			out: outcome{truncated: true, token: "ZGlyL2Y=", last: "dir/f g"},
		},
		{
			file: "pretty.xml",
			want: []string{`"one" 1 2026-03-31T12:00:00.500Z x`, `"two" 2 - `},
			out:  outcome{last: "two"},
		},
	} {
		t.Run(c.file, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join("testdata", "pages", c.file))
			if err != nil {
				t.Fatal(err)
			}
			var page provider.Page
			out, err := decode(body, c.w, &page)
			if err != nil {
				t.Fatal(err)
			}
			if got := content(&page); !slices.Equal(got, c.want) || page.Skipped != c.skipped || out != c.out {
				t.Errorf("page\n got %s\nwant %s\nskipped %d, outcome %+v", strings.Join(got, "\n     "), strings.Join(c.want, "\n     "), page.Skipped, out)
			}
		})
	}
}

const (
	head  = `<ListBucketResult><IsTruncated>false</IsTruncated>`
	tail  = `</ListBucketResult>`
	urled = `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>`
)

func object(key string) string {
	return `<Contents><Key>` + key + `</Key><Size>1</Size></Contents>`
}

func TestCorruptPages(t *testing.T) {
	for _, c := range []struct {
		name, body string
		w          window
		want       error // nil is any
	}{
		{name: "empty", body: "", want: errEmpty},
		{name: "blank", body: " \n", want: errEmpty},
		{name: "declaration only", body: `<?xml version="1.0"?>`, want: errEmpty},
		{name: "HTML", body: `<html><body>login</body></html>`, want: errNotAPage},
		{name: "JSON", body: `{}`},
		{name: "no list", body: `<ListAllMyBucketsResult></ListAllMyBucketsResult>`, want: errNotAPage},
		{name: "empty root", body: `<ListBucketResult/>`, want: errNotAPage},
		{name: "no IsTruncated", body: `<ListBucketResult>` + object("a") + tail, want: errMissing},
		{name: "IsTruncated twice", body: head + `<IsTruncated>false</IsTruncated>` + tail, want: errTwice},
		{name: "IsTruncated unclear", body: `<ListBucketResult><IsTruncated>yes</IsTruncated>` + tail, want: errUnclear},
		{name: "IsTruncated empty", body: `<ListBucketResult><IsTruncated/>` + tail, want: errMissing},
		{name: "truncated without a token", body: `<ListBucketResult><IsTruncated>true</IsTruncated>` + object("a") + tail, want: errToken},
		{name: "truncated with an empty token", body: `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken>` + object("a") + tail, want: errToken},
		{name: "truncated without a key", body: `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>` + tail, want: errNoMore},
		{name: "too few keys", body: head + `<KeyCount>2</KeyCount>` + object("a") + tail, want: errCount},
		{name: "too many keys", body: head + `<KeyCount>0</KeyCount>` + object("a") + tail, want: errCount},
		{name: "KeyCount no number", body: head + `<KeyCount>-1</KeyCount>` + tail, want: errNumber},
		{name: "unsorted", body: head + object("b") + object("a") + tail, want: provider.ErrUnordered},
		{name: "doubled", body: head + object("a") + object("a") + tail, want: provider.ErrUnordered},
		{name: "unsorted behind the end", body: head + object("a") + object("y") + object("x") + tail, w: window{end: "b"}, want: provider.ErrUnordered},
		{name: "outside of the prefix", body: head + object("b/1") + tail, w: window{prefix: "a/"}, want: errOutside},
		{name: "start-after ignored", body: head + object("a") + tail, w: window{after: "b", start: "c"}, want: provider.ErrStartIgnored},
		{name: "start-after included late", body: head + object("a") + object("b") + tail, w: window{after: "b", start: "b\x00"}, want: provider.ErrStartIgnored},
		{name: "no key", body: head + `<Contents><Size>1</Size></Contents>` + tail, want: errNoKey},
		{name: "empty key", body: head + object("") + tail, want: errNoKey},
		{name: "empty object", body: head + `<Contents/>` + tail, want: errNoKey},
		{name: "key twice", body: head + `<Contents><Key>a</Key><Key>b</Key><Size>1</Size></Contents>` + tail, want: errTwice},
		{name: "no size", body: head + `<Contents><Key>a</Key></Contents>` + tail, want: errNoSize},
		{name: "size twice", body: head + `<Contents><Key>a</Key><Size>1</Size><Size>1</Size></Contents>` + tail, want: errTwice},
		{name: "negative size", body: head + `<Contents><Key>a</Key><Size>-1</Size></Contents>` + tail, want: errNumber},
		{name: "huge size", body: head + `<Contents><Key>a</Key><Size>99999999999999999999</Size></Contents>` + tail, want: errNumber},
		{name: "bad time", body: head + `<Contents><Key>a</Key><Size>1</Size><LastModified>yesterday</LastModified></Contents>` + tail, want: errTime},
		{name: "bad escape", body: urled + object("a%zz") + tail, want: errEscape},
		{name: "cut escape", body: urled + object("a%4") + tail, want: errEscape},
		{name: "unknown encoding", body: strings.Replace(urled, "url", "base64", 1) + object("a") + tail, want: errEncoding},
		{name: "encoding of two minds", body: urled + object("a") + `<EncodingType></EncodingType>` + tail, want: errTwice},
		{name: "bare carriage return", body: head + object("a\rb") + tail, want: errControl},
		{name: "control character", body: head + object("a\x01b") + tail},
		{name: "not UTF-8", body: head + object("a\xffb") + tail},
		{name: "unknown entity", body: head + object("a&nbsp;b") + tail},
		{name: "zero entity", body: head + object("a&#0;b") + tail},
		{name: "open entity", body: head + object("a&amp") + tail},
		{name: "element in a key", body: head + object("a<b/>c") + tail},
		{name: "comment in a key", body: head + object("a<!-- x -->c") + tail},
		{name: "CDATA", body: head + object("<![CDATA[a]]>") + tail},
		{name: "commented objects", body: head + `<!-- ` + object("a") + ` -->` + tail},
		{name: "prefixed objects", body: head + `<s3:Contents><Key>a</Key><Size>1</Size></s3:Contents>` + tail},
		{name: "text between elements", body: head + `x` + object("a") + tail},
		{name: "mixed content", body: head + `<Unknown>x<y/></Unknown>` + tail},
		{name: "wrong end tag", body: head + `<Contents><Key>a</Size></Contents>` + tail},
		{name: "objects in what is skipped", body: head + `<Unknown><x></Unknown></x>` + tail},
		{name: "too deep", body: head + strings.Repeat("<x>", 100) + strings.Repeat("</x>", 100) + tail},
		{name: "no end", body: head + object("a"), want: provider.ErrCutShort},
		{name: "something behind", body: head + tail + head + tail, want: errTrailing},
		{name: "another charset", body: `<?xml version="1.0" encoding="ISO-8859-1"?>` + head + tail},
		{name: "document type", body: `<!DOCTYPE x [<!ENTITY a "b">]>` + head + tail},
		{name: "prefix unasked", body: head + `<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>` + tail, want: errUnfolded},
		{name: "prefix unended", body: head + `<CommonPrefixes><Prefix>a</Prefix></CommonPrefixes>` + tail, w: window{delimiter: "/"}, want: errBadFolded},
		{name: "prefixes unsorted", body: head + `<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>` + tail, w: window{delimiter: "/"}, want: provider.ErrUnordered},
		{name: "prefix outside", body: head + `<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>` + tail, w: window{delimiter: "/", prefix: "a/"}, want: errOutside},
		{name: "prefix passed before", body: head + `<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>` + tail, w: window{delimiter: "/", after: "c", start: "d"}, want: provider.ErrStartIgnored},
	} {
		t.Run(c.name, func(t *testing.T) {
			var page provider.Page
			_, err := decode([]byte(c.body), c.w, &page)
			if err == nil {
				t.Fatalf("accepted, as %q", content(&page))
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %q, want %q", err, c.want)
			}
		})
	}
}

// TestOddPages checks harmless deviations of some servers.
func TestOddPages(t *testing.T) {
	for _, c := range []struct {
		name, body string
		w          window
		keys       string
		want       outcome
	}{
		{
			"start-after included", head + object("b") + object("c") + tail,
			window{after: "b", start: "b\x00"},
			"c",
			outcome{last: "c"},
		},
		{
			"any order", head + object("b") + object("a/") + object("c") + tail,
			window{loose: true, after: "b"},
			"b a/ c",
			outcome{last: "c"},
		},
		{
			"placeholders", head + `<Contents><Key>a/</Key><Size>0</Size></Contents>` + tail,
			window{loose: true},
			"a/",
			outcome{last: "a/"},
		},
	} {
		var page provider.Page
		got, err := decode([]byte(c.body), c.w, &page)
		var keys []string
		for _, o := range page.Objects {
			keys = append(keys, string(o.Key))
		}
		if err != nil || strings.Join(keys, " ") != c.keys || got != c.want {
			t.Errorf("%s: %q, %+v, %v", c.name, keys, got, err)
		}
	}
}

func TestErrorDocument(t *testing.T) {
	body := `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce</Message><RequestId/></Error>`
	_, err := decode([]byte(body), window{}, &provider.Page{})
	if e, ok := errors.AsType[*serverError](err); !ok || e.code != "SlowDown" {
		t.Errorf("error %v", err)
	}
}

func TestWindow(t *testing.T) {
	body := head + object("a") + object("b") + object("c") + object("d") + `<KeyCount>4</KeyCount>` + tail
	for _, c := range []struct {
		w     window
		want  string
		ended bool
	}{
		{window{}, "a b c d", false},
		{window{start: "b"}, "b c d", false},
		{window{start: "b\x00"}, "c d", false},
		{window{end: "c"}, "a b", true},
		{window{start: "b", end: "d"}, "b c", true},
		{window{start: "e"}, "", false},
		{window{end: "a"}, "", true},
	} {
		var page provider.Page
		out, err := decode([]byte(body), c.w, &page)
		if err != nil {
			t.Errorf("%+v: %v", c.w, err)
			continue
		}
		var keys []string
		for _, o := range page.Objects {
			keys = append(keys, string(o.Key))
		}
		if got := strings.Join(keys, " "); got != c.want || out.ended != c.ended || out.last != "d" {
			t.Errorf("%+v: keys %q, outcome %+v", c.w, got, out)
		}
	}
}

// TestEveryCutIsSeen holds each place at which a connection may break.
func TestEveryCutIsSeen(t *testing.T) {
	for _, body := range [][]byte{amazonPage(3, true), []byte(urled + object("a") + tail)} {
		for n := range body {
			if _, err := decode(bytes.Clone(body[:n]), window{}, &provider.Page{}); err == nil {
				t.Errorf("accepted when cut at byte %d of %d: %q", n, len(body), body[:n])
			}
		}
	}
}

func TestDecodeAllocatesNothingPerKey(t *testing.T) {
	body := amazonPage(1000, true)
	scratch := make([]byte, len(body))
	var page provider.Page
	allocs := testing.AllocsPerRun(10, func() {
		copy(scratch, body)
		if _, err := decode(scratch, window{}, &page); err != nil {
			t.Error(err)
		}
	})
	if allocs > 20 {
		t.Errorf("%v allocations for a page of 1,000 keys", allocs)
	}
}
