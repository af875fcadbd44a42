package keyspace_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firescan/keyspace"
)

func TestFold(t *testing.T) {
	for key, want := range map[string]string{
		"a/b.backup":          "a/b.backup",
		"/lead2.backup":       "lead2.backup",
		"a//dbl.backup":       "a/dbl.backup",
		`back\slash.backup`:   "back/slash.backup",
		"./a":                 "a",
		"a/./b":               "a/b",
		"a/../b":              "b",
		"../a":                "a",
		"a/b/":                "a/b/",
		"a//b//":              "a/b/",
		"a/.":                 "a/",
		"..a/b..c/.d":         "..a/b..c/.d",
		"cafe\u0301.backup":   "caf\u00e9.backup",
		"caf\u00e9.backup":    "caf\u00e9.backup",
		"/":                   "",
		".":                   "",
		"":                    "",
		"not \xff utf-8//key": "not \xff utf-8/key",
	} {
		if got := keyspace.Fold(key); got != want {
			t.Errorf("Fold(%q) = %q, want %q", key, got, want)
		}
		fold, other := keyspace.Folded([]byte(key))
		if string(fold) != want || other != (want != key && want != "") {
			t.Errorf("Folded(%q) = %q, %v", key, fold, other)
		}
	}
}

// TestFoldIsCoarse compares Fold with each change that a server makes: keys that one server
// takes for the same object have one fold, in whatever order it applies its changes.
func TestFoldIsCoarse(t *testing.T) {
	changes := []func(string) string{
		func(k string) string { return strings.TrimLeft(k, "/") },
		func(k string) string { return strings.ReplaceAll(k, "//", "/") },
		func(k string) string { return strings.ReplaceAll(k, `\`, "/") },
		func(k string) string { return strings.TrimPrefix(k, "./") },
		func(k string) string { return strings.ReplaceAll(k, "/./", "/") },
		func(k string) string { return strings.ReplaceAll(k, "e\u0301", "\u00e9") },
		func(k string) string { return strings.ReplaceAll(k, "\u00e9", "e\u0301") },
	}
	part := rapid.SampledFrom([]string{"a", "b", "/", "//", `\`, ".", "./", "..", "e\u0301", "\u00e9", "x.backup"})
	rapid.Check(t, func(t *rapid.T) {
		key := strings.Join(rapid.SliceOfN(part, 1, 8).Draw(t, "parts"), "")
		if fold := keyspace.Fold(key); keyspace.Fold(fold) != fold {
			t.Fatalf("Fold(%q) = %q, which folds to %q", key, fold, keyspace.Fold(fold))
		}
		listed := key
		for range rapid.IntRange(0, 4).Draw(t, "n") {
			listed = rapid.SampledFrom(changes).Draw(t, "change")(listed)
		}
		if keyspace.Fold(listed) != keyspace.Fold(key) {
			t.Fatalf("%q is listed as %q: folds %q and %q", key, listed, keyspace.Fold(key), keyspace.Fold(listed))
		}
	})
}

func BenchmarkFolded(b *testing.B) {
	key := []byte("backups/production/2024-01-15/bkp_0123456789abcdef.backup")
	for b.Loop() {
		if _, other := keyspace.Folded(key); other {
			b.Fatal("an ordinary key")
		}
	}
}
