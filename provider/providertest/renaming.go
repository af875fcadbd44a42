package providertest

import (
	"context"
	"fmt"
	"strings"

	"firescan/keyspace"
	"firescan/provider"
)

// spellings are groups of keys that some servers take for one.
var spellings = [][]string{
	{"lead.backup", "/lead.backup", "//lead.backup", "./lead.backup", `\lead.backup`},
	{"a/dbl.backup", "a//dbl.backup", "a///dbl.backup", "a/./dbl.backup", `a\dbl.backup`, "a/b/../dbl.backup"},
	{"/a/dbl.backup", "/a//dbl.backup", "/a/./dbl.backup", "a/dbl.backup"},
	{"x/\u00e9.backup", "x/e\u0301.backup"},
	{"Case.backup", "case.backup"},
	{"blank.backup", " blank.backup", "blank.backup "},
	{"slash.backup/"},
}

// DescribeNames stores an object under each of some unusual keys in an empty bucket, one at
// a time, and returns under which names it is listed, is found, is in a list with that prefix
// of at most one and two names, and can be deleted.
func DescribeNames(ctx context.Context, b provider.Bucket) (string, error) {
	var text strings.Builder
	for _, group := range spellings {
		for _, key := range group {
			if err := describeKey(ctx, b, key, group, &text); err != nil {
				return "", fmt.Errorf("object %q: %w", key, err)
			}
		}
	}
	return text.String(), nil
}

func describeKey(ctx context.Context, b provider.Bucket, key string, group []string, text *strings.Builder) error {
	fmt.Fprintf(text, "\nput     %+q", key)
	if err := b.Put(ctx, key, []byte(key)); err != nil {
		if kind := provider.KindOf(err); kind != provider.Invalid && kind != provider.NotFound {
			return err
		}
		text.WriteString(" is refused\n")
		return nil
	}
	listed, err := names(ctx, b)
	if err != nil {
		return err
	}
	fmt.Fprintf(text, "\nlisted %s\nfound  ", quoted(listed))
	for _, other := range group {
		if _, err := b.Stat(ctx, other); err == nil {
			text.WriteString(quoted([]string{other}))
		} else if kind := provider.KindOf(err); kind != provider.NotFound && kind != provider.Invalid {
			return err
		}
	}
	for most := 1; most <= 2; most++ {
		fmt.Fprintf(text, "\nlist %d ", most)
		for _, other := range group {
			var page provider.Page
			err := b.List(ctx, provider.ListRequest{Prefix: other, End: keyspace.After(other), MaxKeys: most}, &page)
			if err == nil && len(page.Objects) > 0 && string(page.Objects[0].Key) == other {
				text.WriteString(quoted([]string{other}))
			}
		}
	}
	text.WriteString("\ndeleted")
	for _, other := range group {
		if err := b.Put(ctx, key, []byte(key)); err != nil {
			return err
		}
		if err := b.Delete(ctx, other, ""); err != nil && provider.KindOf(err) != provider.Invalid {
			return err
		}
		if listed, err = names(ctx, b); err != nil {
			return err
		}
		if len(listed) == 0 {
			text.WriteString(quoted([]string{other}))
		}
	}
	text.WriteString("\n")
	for _, name := range listed {
		if err := b.Delete(ctx, name, ""); err != nil {
			return err
		}
	}
	return nil
}

func names(ctx context.Context, b provider.Bucket) (list []string, err error) {
	var page provider.Page
	err = b.List(ctx, provider.ListRequest{}, &page)
	for _, o := range page.Objects {
		list = append(list, string(o.Key))
	}
	return list, err
}

func quoted(keys []string) string {
	var text strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&text, " %+q", key)
	}
	return text.String()
}
