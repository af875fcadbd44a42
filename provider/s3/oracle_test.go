package s3

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firescan/provider"
)

// theirs is a page as encoding/xml reads it.
type theirs struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	IsTruncated           []string
	NextContinuationToken []string
	KeyCount              []string
	EncodingType          []string
	Contents              []struct {
		Key, Size, LastModified, ETag []string
	}
	CommonPrefixes []struct{ Prefix []string }
}

// content returns the page in the form of the func of that name.
func (p theirs) content() ([]string, error) {
	encoded := slices.Contains(p.EncodingType, "url")
	plain := func(key string) (string, error) {
		if !encoded {
			return key, nil
		}
		return url.QueryUnescape(key)
	}
	var page provider.Page
	for _, o := range p.Contents {
		key, err := plain(o.Key[0])
		if err != nil {
			return nil, err
		}
		size, err := strconv.ParseInt(o.Size[0], 10, 64)
		if err != nil {
			return nil, err
		}
		if provider.Placeholder(key, size) {
			page.Skipped++
			continue
		}
		var modified int64
		if len(o.LastModified) > 0 {
			at, err := time.Parse(time.RFC3339, o.LastModified[0])
			if err != nil {
				return nil, err
			}
			modified = at.UnixMilli()
		}
		tag := ""
		if len(o.ETag) > 0 {
			tag = o.ETag[0]
			if len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
				tag = tag[1 : len(tag)-1]
			}
		}
		page.Add([]byte(key), []byte(tag), size, modified)
	}
	for _, c := range p.CommonPrefixes {
		for _, prefix := range c.Prefix {
			prefix, err := plain(prefix)
			if err != nil {
				return nil, err
			}
			page.Prefixes = append(page.Prefixes, prefix)
		}
	}
	return append(content(&page), fmt.Sprint("skipped ", page.Skipped)), nil
}

// FuzzDecode: no body makes the scanner panic, and whatever it accepts encoding/xml
// reads in the same way, object by object.
func FuzzDecode(f *testing.F) {
	pages, err := filepath.Glob("testdata/pages/*.xml")
	if err != nil || len(pages) == 0 {
		f.Fatal("no golden pages", err)
	}
	for _, file := range pages {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(urled + object("a+b%20%26") + `<CommonPrefixes><Prefix>x/</Prefix></CommonPrefixes>` + tail))
	f.Add([]byte(head + "<KeyCount>1</KeyCount>" + object("&lt;&#x26;&#38;") + tail))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, w := range []window{{}, {delimiter: "/"}} {
			var page provider.Page
			out, err := decode(bytes.Clone(body), w, &page)
			if err != nil {
				continue
			}
			var p theirs
			if err := xml.Unmarshal(body, &p); err != nil {
				// Control characters as entities are keys at S3, and no XML; nor do we
				// care which version of XML a server says it writes.
				if strings.Contains(err.Error(), "illegal character code") || strings.Contains(err.Error(), "unsupported version") {
					continue
				}
				t.Fatalf("accepted, but %v: %q", err, body)
			}
			want, err := p.content()
			if err != nil {
				t.Fatalf("accepted, but %v: %q", err, body)
			}
			if got := append(content(&page), fmt.Sprint("skipped ", page.Skipped)); !slices.Equal(got, want) {
				t.Fatalf("got %q, want %q: %q", got, want, body)
			}
			if out.truncated != (p.IsTruncated[0] == "true") {
				t.Fatalf("truncated %v, want %q: %q", out.truncated, p.IsTruncated, body)
			}
		}
	})
}

// TestValidPagesAreRead draws pages as servers may write them, with the elements in any
// order and in either encoding, and holds every object of them.
func TestValidPagesAreRead(t *testing.T) {
	key := rapid.StringOfN(rapid.OneOf(
		rapid.SampledFrom([]rune("ab/+% &<>\"'~é本🔥\t\n\u0085")), rapid.Rune(),
	), 1, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		encoded := rapid.Bool().Draw(t, "encoding-type=url")
		keys := rapid.SliceOfNDistinct(key, 0, 6, rapid.ID[string]).Draw(t, "keys")
		if !encoded {
			keys = slices.DeleteFunc(keys, func(k string) bool { return strings.ToValidUTF8(k, "") != k || !xmlText(k) })
		}
		slices.Sort(keys)
		write := func(k string) string {
			if encoded {
				return url.QueryEscape(k)
			}
			var b bytes.Buffer
			if err := xml.EscapeText(&b, []byte(k)); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		space := rapid.SampledFrom([]string{"", "\n  "}).Draw(t, "space")
		shuffled := func(label string, parts []string) string {
			return space + strings.Join(rapid.Permutation(parts).Draw(t, label), space) + space
		}
		var want []string
		objects := ""
		for i, k := range keys {
			size := rapid.Int64Range(1, 1<<50).Draw(t, "size")
			objects += "<Contents>" + shuffled("elements", []string{
				"<Key>" + write(k) + "</Key>", fmt.Sprintf("<Size>%d</Size>", size), "<LastModified>2026-01-02T03:04:05.000Z</LastModified>",
				fmt.Sprintf("<ETag>&quot;%d&quot;</ETag>", i), "<Owner><ID>x &gt; y</ID><DisplayName/></Owner>", "<StorageClass>STANDARD</StorageClass>",
			}) + "</Contents>" + space
			want = append(want, fmt.Sprintf("%q %d 2026-01-02T03:04:05.000Z %d", k, size, i))
		}
		parts := []string{"<IsTruncated>false</IsTruncated>", fmt.Sprintf("<KeyCount>%d</KeyCount>", len(keys)), "<Name>b</Name>", "<Prefix/>", objects}
		if encoded {
			parts = append(parts, "<EncodingType>url</EncodingType>")
		}
		body := `<?xml version="1.0" encoding="UTF-8"?>` + space + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
			shuffled("parts", parts) + "</ListBucketResult>" + space
		var page provider.Page
		if _, err := decode([]byte(body), window{}, &page); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if got := content(&page); !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

// xmlText reports whether XML can carry s.
func xmlText(s string) bool {
	for _, r := range s {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return false
		}
	}
	return true
}
