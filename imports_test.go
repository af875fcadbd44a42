// Package firescan_test enforces the rules of this repository that the compiler does not.
package firescan_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors maps each room to its layer. A package imports from lower layers and from its
// own room, never sideways and never up.
var floors = map[string]int{
	"keyspace": 1,
	"catalog":  2, "index": 2, "provider": 2,
	"scanner": 3, "deletion": 3, "replica": 3, "cluster": 3,
	"api":  4,
	"node": 5,
	"cmd":  6, "deploy": 6,
}

// indexModules are the modules that the index may import.
var indexModules = []string{
	"go.etcd.io/bbolt", "github.com/cespare/xxhash/v2", "github.com/klauspost/compress",
	"github.com/prometheus/client_golang",
}

const (
	module = "firescan/"
	// syntheticBucket imports keyspace alone. The demo serves it.
	syntheticBucket = "bench/bucketserver"
	maxLines        = 800
)

func room(pkg string) string {
	first, _, _ := strings.Cut(pkg, "/")
	return first
}

func under(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// refuse returns why the package from, or its tests, may not import a path, or "".
func refuse(from, imported string, isTest bool) string {
	if room(from) == "index" && !isTest && strings.Contains(room(imported), ".") &&
		!slices.ContainsFunc(indexModules, func(m string) bool { return under(imported, m) }) {
		return "index imports only bbolt, codecs and the standard library"
	}
	to, ours := strings.CutPrefix(imported, module)
	if !ours || room(from) == "" { // the root has only tests
		return ""
	}
	if under(to, syntheticBucket) {
		if isTest || slices.Contains([]string{"bench", "cmd", "node"}, room(from)) {
			return ""
		}
		return "the synthetic bucket is for benchmarks, tests and the demo"
	}
	if under(from, syntheticBucket) && !isTest {
		if room(to) == "keyspace" {
			return ""
		}
		return "the synthetic bucket may import only keyspace"
	}
	if room(from) == "bench" {
		return ""
	}
	if room(to) == "bench" {
		return "no room imports the benchmarks"
	}
	below, known := floors[room(to)]
	own, placed := floors[room(from)]
	switch {
	case !known || !placed:
		return "one of the two is in no known room: see floors in imports_test.go"
	case under(to, "provider/providertest") && !isTest && !under(from, "provider/providertest"):
		return "the conformance suite is for tests"
	case room(from) == room(to):
		return sameRoom(from, to, isTest)
	case below > own:
		return "imports go down, and this one goes up"
	case below == own && !isTest:
		return "imports go down, and this one goes sideways"
	case strings.HasPrefix(to, "provider/") && own < floors["node"] && !isTest:
		return "only node imports concrete providers: import the interface in provider"
	}
	return ""
}

// sameRoom is refuse for two packages of one room. All is allowed, except that providers
// do not import each other, and package provider imports none of them.
func sameRoom(from, to string, isTest bool) string {
	if room(from) != "provider" || isTest || from == to || to == "provider" || strings.HasPrefix(from, to+"/") {
		return ""
	}
	if under(from, "provider/providertest") {
		return ""
	}
	return "a provider imports only package provider"
}

// files calls see with every source and text file of the repository.
func files(t *testing.T, see func(file string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if file != "." && (name[0] == '.' || name[0] == '_' || name == "testdata" || name == "node_modules" || file == "bin" || file == "data") {
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(name) {
		case ".go", ".md", ".proto", ".yaml", ".yml":
		default:
			return nil
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		see(filepath.ToSlash(file), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goFiles calls see with every Go file of the repository and the path of its package,
// relative to the root.
func goFiles(t *testing.T, see func(file, pkg string, source []byte)) {
	t.Helper()
	files(t, func(file string, content []byte) {
		if path.Ext(file) == ".go" {
			see(file, strings.TrimPrefix(path.Dir(file), "."), content)
		}
	})
}

func TestImportsGoDown(t *testing.T) {
	seen := 0
	goFiles(t, func(file, pkg string, source []byte) {
		f, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		seen++
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Errorf("%s imports %s: %v", file, spec.Path.Value, err)
			}
			if why := refuse(pkg, imported, strings.HasSuffix(file, "_test.go")); why != "" {
				t.Errorf("%s imports %s: %s", file, imported, why)
			}
		}
	})
	if seen == 0 {
		t.Error("no Go file seen: run the test from the root of the repository")
	}
}

func TestFilesStayReadable(t *testing.T) {
	goFiles(t, func(file, _ string, source []byte) {
		lines := bytes.Count(source, []byte("\n"))
		if lines <= maxLines {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, source, parser.PackageClauseOnly|parser.ParseComments)
		if err == nil && ast.IsGenerated(f) {
			return
		}
		t.Errorf("%s has %d lines: split it by what is in it, at most %d", file, lines, maxLines)
	})
}

func TestRefuse(t *testing.T) {
	for _, tc := range []struct {
		from, imported string
		test, allowed  bool
	}{
		{"cmd/firescan", "firescan/node", false, true},
		{"node", "firescan/api", false, true},
		{"node", "firescan/provider/s3", false, true},
		{"node", "firescan/bench/bucketserver", false, true},
		{"api", "firescan/catalog", false, true},
		{"api", "firescan/catalog/catalogpb", false, true},
		{"api", "firescan/api/console", false, true},
		{"api", "firescan/scanner", false, true},
		{"api", "firescan/deletion", false, true},
		{"scanner", "firescan/api", false, false},
		{"deletion", "firescan/scanner", false, false},
		{"scanner", "firescan/keyspace", false, true},
		{"keyspace", "firescan/catalog", false, false},
		{"api", "firescan/node", true, false},
		{"scanner", "firescan/cluster", false, false},
		{"scanner", "firescan/provider", false, true},
		{"scanner", "firescan/provider/mem", false, false},
		{"scanner", "firescan/provider/mem", true, true},
		{"scanner", "firescan/bench/bucketserver", false, false},
		{"scanner", "firescan/bench/bucketserver", true, true},
		{"catalog", "firescan/index", false, false},
		{"catalog", "firescan/catalog/catalogpb", false, true},
		{"index", "firescan/provider", false, false},
		{"index", "go.etcd.io/bbolt", false, true},
		{"index", "github.com/hashicorp/raft", false, false},
		{"index", "pgregory.net/rapid", true, true},
		{"provider", "firescan/provider/s3", false, false},
		{"provider/s3", "firescan/provider", false, true},
		{"provider/s3", "firescan/provider/mem", false, false},
		{"provider/s3", "firescan/provider/providertest", true, true},
		{"provider/s3", "firescan/provider/providertest", false, false},
		{"provider/providertest", "firescan/provider/mem", false, true},
		{"bench/compare", "firescan/index", false, true},
		{"bench/bucketserver", "firescan/catalog", false, false},
		{"bench/bucketserver", "firescan/keyspace", false, true},
		{"node", "firescan/bench/compare", false, false},
		{"api", "firescan/utils", false, false},
		{"catalog", "fmt", false, true},
	} {
		if why := refuse(tc.from, tc.imported, tc.test); (why == "") != tc.allowed {
			t.Errorf("%s imports %s (test %v): %q", tc.from, tc.imported, tc.test, why)
		}
	}
}
