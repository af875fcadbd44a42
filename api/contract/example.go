package contract

import (
	"fmt"
	"slices"
	"strings"
)

// Differences compares an answer with a documented example of it, both decoded from
// JSON: the same keys at every level, with values of the same JSON types. An element of an
// array is compared with the one of the example's that it is most like. added are the
// places ("data.files[].path") that may be answered beyond the example.
func Differences(example, answer any, added ...string) []string {
	return differences("", example, answer, added)
}

func differences(at string, example, answer any, added []string) (list []string) {
	switch want := example.(type) {
	case map[string]any:
		got, ok := answer.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %T, want an object", at, answer)}
		}
		for key, value := range want {
			place := strings.TrimPrefix(at+"."+key, ".")
			v, has := got[key]
			if !has {
				list = append(list, place+" is not answered")
				continue
			}
			list = append(list, differences(place, value, v, added)...)
		}
		for key := range got {
			place := strings.TrimPrefix(at+"."+key, ".")
			if _, has := want[key]; !has && !slices.Contains(added, place) {
				list = append(list, place+" is answered and not documented")
			}
		}
	case []any:
		got, ok := answer.([]any)
		if !ok || len(got) == 0 && len(want) > 0 {
			return []string{fmt.Sprintf("%s is %v, want a list with something in it", at, answer)}
		}
		for _, v := range got {
			var least []string
			for i, like := range want {
				if d := differences(at+"[]", like, v, added); i == 0 || len(d) < len(least) {
					least = d
				}
			}
			list = append(list, least...)
		}
	default:
		if fmt.Sprintf("%T", example) != fmt.Sprintf("%T", answer) {
			list = append(list, fmt.Sprintf("%s is %T, want %T", at, answer, example))
		}
	}
	slices.Sort(list)
	return list
}
