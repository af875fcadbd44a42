package s3

import (
	"bytes"
	"encoding/xml"
	"maps"
	"testing"
)

// FuzzDeleted holds what is read of the response to a batch against encoding/xml.
func FuzzDeleted(f *testing.F) {
	for _, seed := range []string{
		`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Deleted><Key>a</Key></Deleted></DeleteResult>`,
		`<DeleteResult><Deleted><Key>a &amp; b</Key><DeleteMarker>true</DeleteMarker></Deleted><Error><Key>ä</Key><Code>SlowDown</Code><Message>x</Message></Error></DeleteResult>`,
		`<DeleteResult><Error><Code>AccessDenied</Code><Key>&#x61;</Key></Error><Deleted><Key>b</Key><VersionId/></Deleted></DeleteResult>`,
		`<DeleteResult/>`, `<Error><Code>SlowDown</Code></Error>`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var theirs struct {
			XMLName xml.Name `xml:"DeleteResult"`
			Deleted []struct{ Key, DeleteMarker string }
			Error   []struct{ Key, Code, Message string }
		}
		err := xml.Unmarshal(body, &theirs)
		got, failure := decodeDeleted(bytes.Clone(body))
		if failure != nil {
			return
		}
		want := deleted{}
		for _, d := range theirs.Deleted {
			want[d.Key] = result{marker: d.DeleteMarker == "true"}
		}
		for _, e := range theirs.Error {
			want[e.Key] = result{code: e.Code, locked: isLocked(e.Message)}
		}
		// Control characters are taken here, since S3 writes them, and not there.
		if err == nil && !maps.Equal(got, want) {
			t.Errorf("read %+v, want %+v", got, want)
		}
	})
}

// TestDeletedCutShort checks that every prefix of a response is refused.
func TestDeletedCutShort(t *testing.T) {
	const whole = `<?xml version="1.0"?><DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>x</Code></Error></DeleteResult>`
	for n := range len(whole) {
		if got, err := decodeDeleted([]byte(whole[:n])); err == nil {
			t.Errorf("the first %d bytes are taken, as %+v", n, got)
		}
	}
	if got, err := decodeDeleted([]byte(whole)); err != nil || len(got) != 2 {
		t.Errorf("read %+v, %v", got, err)
	}
}
