package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
)

// Command is a message that the catalog carries out.
type Command = proto.Message

// decode reads the request's body: one JSON object with no fields but v's.
func (c *call) decode(v any) error {
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return badJSON(err)
	}
	c.bodyTaken()
	if len(bytes.TrimSpace(body)) == 0 {
		return badJSON(io.EOF)
	}
	return decodeObject(body, v)
}

// noBody refuses a body that says something: what an endpoint without one is to do stands in
// its address, and must not be guessed from what was left unread.
func (c *call) noBody() error {
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return badJSON(err)
	}
	c.bodyTaken()
	if len(bytes.TrimSpace(body)) > 0 && decodeObject(body, &struct{}{}) != nil {
		return invalidField("body", "is not taken here; parameters stand in the address")
	}
	return nil
}

// decodeObject reads one JSON object with no fields but v's.
func decodeObject(data []byte, v any) error {
	if err := exact(data); err != nil {
		return err
	}
	if deeper(data, maxNesting) {
		return invalidField("body", "is nested too deeply")
	}
	if text := bytes.TrimSpace(data); len(text) > 0 && text[0] == 'n' {
		return invalidField("body", "a JSON object is required") // null would leave v as it is
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badJSON(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalidField("body", "there is more behind the JSON object")
	}
	return nil
}

// maxNesting is how many objects and arrays may lie within one another: more than any
// body of ours has, and little enough to cost nothing.
const maxNesting = 32

// deeper tells whether JSON has more than that many objects and arrays within one another.
func deeper(data []byte, most int) bool {
	if bytes.Count(data, []byte("{"))+bytes.Count(data, []byte("[")) <= most {
		return false // whatever their order; nearly always
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

// exact refuses JSON that encoding/json would change on the way: it puts U+FFFD for
// bytes that are no UTF-8 and for half a surrogate pair. A storagePath that was changed
// so names another file, and the one it meant would pass for an orphan.
func exact(data []byte) error {
	if !utf8.Valid(data) {
		return invalidField("body", "is no valid UTF-8")
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
			return invalidField("body", "has half a surrogate pair, which is no character")
		}
		data = data[6:]
	}
}

// escapedUnit reads the UTF-16 unit of the escape that data begins with.
func escapedUnit(data []byte) (rune, bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	return rune(n), err == nil
}

// badJSON says what is wrong with a body, by field where that is known.
func badJSON(err error) error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return invalidField(or(wrong.Field, "body"), "must be "+kindName(wrong.Type.Kind().String())+", not "+wrong.Value)
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
		return invalidField("body", "the JSON is cut short")
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return invalidField("body", "is no valid JSON: "+msg)
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

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// query reads the parameters of a request and collects what is wrong with them.
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

func (q *query) boolean(name string) bool {
	if _, given := q.values[name]; !given {
		return false
	}
	// A name without a value is no false: who writes ?dryRun means true.
	b, err := strconv.ParseBool(q.str(name))
	if err != nil {
		q.wrong[name] = "must be true or false"
	}
	return b
}

// limit reads how many are wanted, at most most; 0 when it is not given.
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

// duration reads a time span such as 90m, 24h or 7d; 0 when it is not given.
func (q *query) duration(name string) time.Duration {
	v := q.str(name)
	if v == "" {
		return 0
	}
	d, err := parseAge(v)
	if err != nil {
		q.wrong[name] = "must be a time span such as 90m, 24h or 7d"
	}
	return d
}

func parseAge(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 36500 {
			return 0, errors.New("not a number of days")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = errors.New("negative")
	}
	return d, err
}

// err is what is wrong with the parameters, nil if nothing is.
func (q *query) err() error {
	if len(q.wrong) > 0 {
		return invalid(q.wrong)
	}
	return nil
}

// validID tells whether an id made elsewhere fits into keys and addresses, of which "."
// and ".." are taken away on the way.
func validID(id string) bool {
	return len(id) > 0 && len(id) <= 128 && id != "." && id != ".." && strings.IndexFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_-.:", c)
	}) < 0
}
