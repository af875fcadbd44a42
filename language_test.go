package firescan_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const wordList = "lint/words.txt"

// A wordRule is one line of lint/words.txt.
type wordRule struct {
	pattern *regexp.Regexp
	instead string
}

func wordRules(t *testing.T) []wordRule {
	t.Helper()
	text, err := os.ReadFile(wordList)
	if err != nil {
		t.Fatal(err)
	}
	var rules []wordRule
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		rule, err := parseWordRule(line)
		if err != nil {
			t.Errorf("%s:%d: %v", wordList, i+1, err)
			continue
		}
		rules = append(rules, rule)
	}
	return rules
}

func parseWordRule(line string) (wordRule, error) {
	pattern, instead, ok := strings.Cut(line, " => ")
	if !ok {
		return wordRule{}, fmt.Errorf("%q has no \" => \"", line)
	}
	// Text wraps, so that a space of a rule matches a line break, too.
	compiled, err := regexp.Compile("(?i)" + strings.ReplaceAll(pattern, " ", `\s+`))
	return wordRule{compiled, instead}, err
}

// refusedWords returns a description of each match of a rule in text, which starts at a
// line of a file.
func refusedWords(rules []wordRule, file string, line int, text string) []string {
	var found []string
	for _, rule := range rules {
		for _, at := range rule.pattern.FindAllStringIndex(text, -1) {
			found = append(found, fmt.Sprintf("%s:%d: %q: write %s", file,
				line+strings.Count(text[:at[0]], "\n"), text[at[0]:at[1]], rule.instead))
		}
	}
	return found
}

// refusedInGo looks at comments and at strings of more than one word.
func refusedInGo(rules []wordRule, file string, source []byte) ([]string, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(f) {
		return nil, err
	}
	var found []string
	for _, group := range f.Comments {
		found = append(found, refusedWords(rules, file, fset.Position(group.Pos()).Line, group.Text())...)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		if text, err := strconv.Unquote(lit.Value); err == nil && strings.Contains(strings.TrimSpace(text), " ") {
			found = append(found, refusedWords(rules, file, fset.Position(lit.Pos()).Line, text)...)
		}
		return true
	})
	return found, nil
}

func TestLanguage(t *testing.T) {
	rules := wordRules(t)
	files(t, func(file string, source []byte) {
		var found []string
		switch filepath.Ext(file) {
		case ".go":
			var err error
			if found, err = refusedInGo(rules, file, source); err != nil {
				t.Error(err)
			}
		case ".md", ".proto", ".yaml", ".yml":
			found = refusedWords(rules, file, 1, string(source))
		}
		for _, f := range found {
			t.Error(f)
		}
	})
}

func TestRefusedWords(t *testing.T) {
	rule, err := parseWordRule(`\btells whether\b => reports whether`)
	if err != nil {
		t.Fatal(err)
	}
	source := strings.ReplaceAll("package p\n\n// F: it tells\n// W.\nfunc F() { println(`a\nb Tells W`, \"tells\") }\n", "W", "whether")
	found, err := refusedInGo([]wordRule{rule}, "p.go", []byte(source))
	if err != nil || len(found) != 2 || !strings.HasPrefix(found[0], "p.go:3: ") || !strings.HasPrefix(found[1], "p.go:6: ") {
		t.Errorf("found %q, %v", found, err)
	}
	if _, err := parseWordRule("nothing instead"); err == nil {
		t.Error("a rule without a replacement is accepted")
	}
}
