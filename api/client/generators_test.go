package client

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"firescan/api/npmtest"
)

// Generators of other kinds accept openapi.yaml, and consumers of what they generate
// compile. The versions are pinned in tools/go.mod and in package-lock.json. A consumer of
// oapi-codegen is this package.

func TestOgen(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles 90,000 lines")
	}
	t.Parallel()
	dir := copyFiles(t, "../../tools/go.mod", "../../tools/go.sum", "testdata/ogen/consumer.go")
	tools, document, config := absolute(t, "../../tools/go.mod"), absolute(t, "../openapi.yaml"), absolute(t, "testdata/ogen/ogen.yaml")
	execute(t, ".", "go", "tool", "-modfile="+tools, "ogen", "-config", config, "-package", "consumer", "-target", dir, document)
	execute(t, dir, "go", "build", "-gcflags=-N -l", ".")
}

func TestOpenAPITypescript(t *testing.T) {
	if testing.Short() {
		t.Skip("installs npm packages")
	}
	t.Parallel()
	dir := copyFiles(t, "testdata/typescript/package.json", "testdata/typescript/package-lock.json", "testdata/typescript/consumer.ts")
	modules := npmtest.Install(t, readFile(t, filepath.Join(dir, "package.json")), readFile(t, filepath.Join(dir, "package-lock.json")))
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	execute(t, dir, "node", "node_modules/.bin/openapi-typescript", absolute(t, "../openapi.yaml"), "-o", "api.ts")
	execute(t, dir, "node", "node_modules/.bin/tsc", "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "consumer.ts")
}

// copyFiles returns a new directory with copies of files.
func copyFiles(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), readFile(t, file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func readFile(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func absolute(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// execute runs a program, which must succeed.
func execute(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}
