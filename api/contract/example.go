package contract

import (
	"fmt"
	"slices"
	"strings"
)

// Differences compares a response with its documented example, both decoded from JSON: they
// have the same keys at every level, with values of the same JSON types. An element of an
// array is compared with the most similar one of the example. added lists fields
// ("data.files[].path") that the response may have in addition.
func Differences(example, response any, added ...string) []string {
	return differences("", example, response, added)
}

func differences(at string, example, response any, added []string) (list []string) {
	switch want := example.(type) {
	case map[string]any:
		got, ok := response.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %T, want an object", at, response)}
		}
		for key, value := range want {
			place := strings.TrimPrefix(at+"."+key, ".")
			v, has := got[key]
			if !has {
				list = append(list, place+" is missing")
				continue
			}
			list = append(list, differences(place, value, v, added)...)
		}
		for key := range got {
			place := strings.TrimPrefix(at+"."+key, ".")
			if _, has := want[key]; !has && !slices.Contains(added, place) {
				list = append(list, place+" is not documented")
			}
		}
	case []any:
		got, ok := response.([]any)
		if !ok || len(got) == 0 && len(want) > 0 {
			return []string{fmt.Sprintf("%s is %v, want a list that is not empty", at, response)}
		}
		for _, v := range got {
			var least []string
			for i, candidate := range want {
				if d := differences(at+"[]", candidate, v, added); i == 0 || len(d) < len(least) {
					least = d
				}
			}
			list = append(list, least...)
		}
	default:
		if fmt.Sprintf("%T", example) != fmt.Sprintf("%T", response) {
			list = append(list, fmt.Sprintf("%s is %T, want %T", at, response, example))
		}
	}
	slices.Sort(list)
	return list
}
