package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// decode reads the request's body: one JSON object with the fields of v only.
func (c *call) decode(v any) error {
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return badJSON(err)
	}
	c.bodyTaken()
	if body = withoutBOM(body); len(bytes.TrimSpace(body)) == 0 {
		return badJSON(io.EOF)
	}
	return decodeObject(body, v)
}

// withoutBOM returns text without the mark that files of Windows begin with.
func withoutBOM(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }

// noBody refuses a body where the endpoint has none, since ignored fields might have
// been meant as parameters.
func (c *call) noBody() error {
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return badJSON(err)
	}
	c.bodyTaken()
	if len(bytes.TrimSpace(body)) > 0 && decodeObject(body, &struct{}{}) != nil {
		return invalidField("body", "must be empty; parameters are in the query")
	}
	return nil
}

// decodeObject reads one JSON object with the fields of v only.
func decodeObject(data []byte, v any) error {
	if err := exact(data); err != nil {
		return err
	}
	if deeper(data, maxNesting) {
		return invalidField("body", "is nested too deeply")
	}
	if text := bytes.TrimSpace(data); len(text) > 0 && text[0] == 'n' {
		return invalidField("body", "a JSON object is required") // null would not change v
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badFields(data, reflect.TypeOf(v), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalidField("body", "must end after the JSON object")
	}
	if name, twice := givenTwice(data); twice {
		return invalidField(name, "must not be given twice")
	}
	return nil
}

// givenTwice returns a field that a valid JSON object has twice. encoding/json would use the last
// one, in any case of letters, and files that the first one names would count as orphans.
func givenTwice(data []byte) (name string, twice bool) {
	var names [16][]byte
	given, depth := names[:0], 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			start := i + 1
			for i = start; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if depth != 1 || !isName(data[min(i+1, len(data)):]) {
				continue
			}
			field := unescaped(data[start:i])
			if slices.ContainsFunc(given, func(other []byte) bool { return bytes.EqualFold(other, field) }) {
				return string(field), true
			}
			given = append(given, field)
		}
	}
	return "", false
}

// unescaped returns the name of a field that may be written with escapes.
func unescaped(name []byte) []byte {
	if bytes.IndexByte(name, '\\') < 0 {
		return name
	}
	var text string
	if err := json.Unmarshal(slices.Concat([]byte{'"'}, name, []byte{'"'}), &text); err != nil {
		return name // it was read before
	}
	return []byte(text)
}

// isName reports whether a string is the name of a field, by what follows it.
func isName(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return len(rest) > 0 && rest[0] == ':'
}

// maxNesting is the maximum depth of objects and arrays: more than any valid body has.
const maxNesting = 32

// deeper reports whether JSON is nested deeper than most.
func deeper(data []byte, most int) bool {
	if bytes.Count(data, []byte("{"))+bytes.Count(data, []byte("[")) <= most {
		return false // the common case, whatever the order
	}
	depth, text := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// exact refuses JSON that encoding/json would change: it replaces invalid UTF-8 and
// half of a surrogate pair by U+FFFD. A changed storagePath names another file, and the
// real one would count as an orphan.
func exact(data []byte) error {
	if !utf8.Valid(data) {
		return invalidField("body", "must be valid UTF-8")
	}
	for {
		i := bytes.IndexByte(data, '\\')
		if i < 0 || i+1 >= len(data) {
			return nil
		}
		unit, ok := escapedUnit(data[i:])
		if !ok {
			data = data[i+2:] // another escape, or no JSON
			continue
		}
		data = data[i+6:]
		if !utf16.IsSurrogate(unit) {
			continue
		}
		low, ok := escapedUnit(data)
		if !ok || utf16.DecodeRune(unit, low) == utf8.RuneError {
			return invalidField("body", "must not contain half of a surrogate pair")
		}
		data = data[6:]
	}
}

// escapedUnit reads the UTF-16 unit of an escape at the start of data.
func escapedUnit(data []byte) (rune, bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	return rune(n), err == nil
}

// badJSON returns the error of an invalid body, by field where possible.
func badJSON(err error) error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return invalidField(cmp.Or(wrong.Field, "body"), "must be "+kindName(wrong.Type.Kind().String())+", not "+wrong.Value)
	}
	if too, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return too
	}
	msg := err.Error()
	if field, ok := strings.CutPrefix(msg, "json: unknown field "); ok {
		return invalidField(strings.Trim(field, `"`), "is not a field of this request")
	}
	if errors.Is(err, io.EOF) {
		return invalidField("body", "a JSON object is required")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return invalidField("body", "is incomplete JSON")
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return invalidField("body", "is invalid JSON: "+msg)
	}
	return invalidField("body", "could not be read")
}

func kindName(kind string) string {
	switch kind {
	case "struct", "map":
		return "an object"
	case "slice", "array":
		return "an array"
	case "bool":
		return "a boolean"
	case "string":
		return "a string"
	}
	return "a number"
}

// query reads query parameters and collects invalid ones.
type query struct {
	call   *call
	values map[string][]string
	wrong  fieldErrors
}

func (c *call) query() *query {
	return &query{call: c, values: c.Request.URL.Query(), wrong: fieldErrors{}}
}

func (q *query) str(name string) string {
	if v := q.values[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// id returns an id, or "" without one. An empty one is an error: a script whose variable is
// empty must not mean everything.
func (q *query) id(name string) string {
	if _, given := q.values[name]; given && q.str(name) == "" {
		q.wrong[name] = "must not be empty; leave it out to mean all"
	}
	return q.str(name)
}

// force returns the parameter force. HEAD has no effect, so it must not start a sync.
func (q *query) force() bool { return q.boolean("force") && q.call.Request.Method != http.MethodHead }

func (q *query) boolean(name string) bool {
	if _, given := q.values[name]; !given {
		return false
	}
	// A name without a value is an error, not false: ?dryRun means true.
	b, err := strconv.ParseBool(q.str(name))
	if err != nil {
		q.wrong[name] = "must be true or false"
	}
	return b
}

// limit returns the limit, between 1 and most, or 0 without one.
func (q *query) limit(most int) int {
	v := q.str("limit")
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		q.wrong["limit"] = fmt.Sprintf("must be a whole number from 1 to %d", most)
	}
	return n
}

// duration returns a duration such as 90m, 24h or 7d, or 0 without one.
func (q *query) duration(name string) time.Duration {
	v := q.str(name)
	if v == "" {
		return 0
	}
	d, err := parseAge(v)
	if err != nil {
		q.wrong[name] = "must be a duration such as 90m, 24h or 7d"
	}
	return d
}

func parseAge(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 36500 {
			return 0, errors.New("invalid number of days")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = errors.New("negative")
	}
	return d, err
}

// err returns the error of invalid parameters, nil without any.
func (q *query) err() error {
	if len(q.wrong) > 0 {
		return invalid(q.wrong)
	}
	return nil
}
