package catalog

import (
	"path"
	"strings"

	"golang.org/x/text/unicode/norm"

	pb "firescan/catalog/catalogpb"
)

// isListable reports whether a server may list an object under key, by what is known of how
// it names unusual keys. Every reading of a record links files, whatever the mapping is; it
// decides only under which of them the object is expected.
func isListable(m *pb.KeyMapping, key string) bool {
	folded := func(rule pb.KeyMapping_Rule) bool { return rule == pb.KeyMapping_FOLDED }
	composed := norm.NFC.String(key)
	switch {
	case folded(m.GetLeadingSlash()) && strings.HasPrefix(key, "/"),
		folded(m.GetDoubleSlash()) && strings.Contains(key, "//"),
		folded(m.GetDotSegment()) && hasDotSegment(key),
		folded(m.GetBackslash()) && strings.Contains(key, `\`),
		folded(m.GetDecomposed()) && composed != key,
		folded(m.GetComposed()) && composed == key && norm.NFD.String(key) != key:
		return false
	}
	return true
}

func hasDotSegment(key string) bool {
	for segment := range strings.SplitSeq(key, "/") {
		if segment != "" && path.Clean("/"+segment) == "/" {
			return true
		}
	}
	return false
}
