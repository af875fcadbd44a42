package catalog

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	pb "firescan/catalog/catalogpb"
)

// TestReferenceTable holds each row of the table in docs/references.md true: the location has
// the readings in the table, its own text as a key, and no others.
func TestReferenceTable(t *testing.T) {
	text, err := os.ReadFile("../docs/references.md")
	if err != nil {
		t.Fatal(err)
	}
	destinations := map[string]*pb.Destination{
		"all":  {Id: "all", Type: TypeS3, Bucket: "acme-backups"},
		"prod": {Id: "prod", Type: TypeS3, Bucket: "acme-backups", Path: "backups/prod"},
		"gcs":  {Id: "gcs", Type: TypeGCS, Bucket: "acme.appspot.com"},
	}
	r := NewResolver([]*pb.Destination{destinations["all"], destinations["prod"], destinations["gcs"]})
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		rows++
		location, d := strings.Trim(cells[1], " `"), destinations[strings.Trim(cells[2], " `")]
		list, err := r.Resolve(d, []byte(location))
		if strings.TrimSpace(cells[3]) == "refused" {
			if !errors.Is(err, ErrUnresolved) {
				t.Errorf("%s becomes %+v, %v; the table says that it is refused", location, list, err)
			}
			continue
		}
		var got []string
		for _, p := range list {
			if p.Bucket == "" && p.Key == location {
				continue
			}
			place := p.Key
			if p.Bucket == "" {
				place = d.Bucket + "/" + place
			} else {
				place = p.Bucket + "/" + place
			}
			if p.Prefix {
				place += "*"
			}
			got = append(got, place)
		}
		var want []string
		for place := range strings.SplitSeq(cells[3], "`, `") {
			if place = strings.Trim(place, " `"); place != d.Bucket+"/"+location {
				want = append(want, place)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s in %s becomes %q, %v; the table has %q", location, d.Id, got, err, want)
		}
	}
	if rows < 50 {
		t.Errorf("%d rows were read", rows)
	}
}
