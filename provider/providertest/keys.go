package providertest

import (
	"slices"
	"strings"
)

// hostile are keys that have been lost, doubled or garbled somewhere on their way
// through query strings, XML, file systems and sorting.
var hostile = []string{
	"plain.txt", "with blank.backup", "two  blanks", "trailing blank ", " leading blank",
	"plus+plus", "a+b c+d", "percent%", "%41", "%2F", "100%25", "%zz", "%",
	"a&b", "a&amp;b", "&lt;", "&#65;", `quo"te`, "apos'trophe", "<tag>", "a<b>c", "]]>", "<![CDATA[x]]>",
	`back\slash`, "semi;colon", "question?list-type=2", "hash#mark", "equals=sign", "star*",
	"tilde~", "~~~", "colon:", "comma,", "at@", "dollar$", "paren(1)", "bracket[1]", "brace{1}",
	"caret^", "pipe|", "back`tick", "exclamation!",
	"grüße/äöü.meta", "日本語/バックアップ.backup", "日本語/末.backup", "日本語/本.backup", "emoji/🔥", "emoji/🔥🔥", "combining/e\u0301", "composed/\u00e9",
	"replacement\ufffd", "private\U0010fffd", "separator\u2028",
	"tab\there", "line\nfeed", "carriage\rreturn", "control\x01\x1f", "delete\x7f", "c1\u0085control",
	"double//slash", "/leading/slash", "dots/./x", "dots/../y", "...", "a/b", "a/b/c", "a",
	"A", "Z", "z", "0", "00", "000", "0/0", "0/00", "0-0", "0.0",
	"dir.backup", "dir/a.backup", "dir/b.backup", "dir/sub/c.backup", "dir/sub/d.backup", "dir/sub2/e", "dir-/f", "dir0",
	"2026-01-01/a.backup.gz", "2026-01-01/a.meta.json", "2026-01-02/b.backup.gz", "2026-01-02/c.auth",
	strings.Repeat("p/", 500) + strings.Repeat("n", 24), // 1,024 bytes, in short names
	strings.Repeat("k", 1024),
}

// fitting are the hostile keys that the server can hold, ascending.
func fitting(q Quirks) []string {
	keys := slices.Clone(hostile)
	if q.Unfit != nil {
		keys = slices.DeleteFunc(keys, q.Unfit)
	}
	slices.Sort(keys)
	return keys
}
