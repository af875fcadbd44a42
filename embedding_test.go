package firescan_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strconv"
	"strings"
	"testing"
)

// embeddedPointers returns the position of each field that embeds a pointer to a type of
// this module. Only structs can be embedded through a pointer and have owners: a named
// field shows who owns what.
func embeddedPointers(file string, source []byte) ([]token.Position, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, source, parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(f) {
		return nil, err
	}
	own := map[string]bool{} // the names of imported packages of this module
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil || !strings.HasPrefix(imported, module) {
			continue
		}
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		own[name] = true
	}
	var found []token.Position
	ast.Inspect(f, func(n ast.Node) bool {
		structure, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, field := range structure.Fields.List {
			if pointer, ok := field.Type.(*ast.StarExpr); ok && len(field.Names) == 0 && ofModule(pointer.X, own) {
				found = append(found, fset.Position(field.Pos()))
			}
		}
		return true
	})
	return found, nil
}

// ofModule reports whether a type expression names a type of this module, given the
// names of the imported packages that belong to it.
func ofModule(x ast.Expr, own map[string]bool) bool {
	switch x := x.(type) {
	case *ast.Ident: // of the same package
		return true
	case *ast.SelectorExpr:
		pkg, ok := x.X.(*ast.Ident)
		return ok && own[pkg.Name]
	case *ast.IndexExpr:
		return ofModule(x.X, own)
	case *ast.IndexListExpr:
		return ofModule(x.X, own)
	}
	return false
}

func TestOwnersAreNamedFields(t *testing.T) {
	goFiles(t, func(file, _ string, source []byte) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		found, err := embeddedPointers(file, source)
		if err != nil {
			t.Error(err)
		}
		for _, at := range found {
			t.Errorf("%s: embeds a pointer to a struct of this module: make it a named field", at)
		}
	})
}

func TestEmbeddedPointers(t *testing.T) {
	source := `package p
import ("firescan/catalog"; pb "firescan/catalog/catalogpb"; "net/http")
type T struct {
	*T2
	*catalog.Store
	*pb.Sync
	*G[int]
	*http.Client
	*http.Server
	catalog.Config
	named *T2
}`
	found, err := embeddedPointers("p.go", []byte(source))
	if err != nil || len(found) != 4 || found[0].Line != 4 || found[3].Line != 7 {
		t.Errorf("found %v, %v", found, err)
	}
}
