package api

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
)

const (
	// maxBadFields is the number of fields whose problems are returned.
	maxBadFields = 20
	// maxBadDepth is the depth to which fields within fields are tried one by one.
	maxBadDepth = 3
)

// badFields returns the error for a body that could not be decoded into a value of the pointer
// type t, with the problems of all fields: encoding/json stops at the first.
func badFields(data []byte, t reflect.Type, first error) error {
	found := fieldErrors{}
	tryFields(data, t, nil, found)
	if len(found) == 0 {
		return badJSON(first)
	}
	return invalid(found)
}

// tryFields decodes each field of a JSON object by itself, within the objects that the names
// in path lead to, and adds what is wrong to found.
func tryFields(object []byte, t reflect.Type, path []string, found fieldErrors) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return // it is no object, or none that can be read
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := append(slices.Clone(path), name)
		err := tryField(fields[name], t, at)
		if err == nil {
			continue
		}
		before := len(found)
		if len(at) < maxBadDepth {
			tryFields(fields[name], t, at, found)
		}
		if len(found) == before {
			found.add(err, at)
		}
		if len(found) >= maxBadFields {
			return
		}
	}
}

// tryField decodes one field by itself.
func tryField(value json.RawMessage, t reflect.Type, path []string) error {
	body := string(value)
	for _, name := range slices.Backward(path) {
		quoted, _ := json.Marshal(name) // never fails
		body = "{" + string(quoted) + ":" + body + "}"
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(reflect.New(t.Elem()).Interface())
}

// add adds the problems that an error reports for the field at a path.
func (w fieldErrors) add(err error, path []string) {
	e, ok := errors.AsType[*Error](badJSON(err))
	if !ok {
		return
	}
	details, _ := e.Details.(map[string]any)
	fields, _ := details["fields"].(fieldErrors)
	for name, problem := range fields {
		if name == path[len(path)-1] { // an unknown field, which is named without its path
			name = strings.Join(path, ".")
		}
		w[name] = problem
	}
}
