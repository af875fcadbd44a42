package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// logged returns the data of events.
func logged(events []loggedEvent) string {
	var all []string
	for _, e := range events {
		all = append(all, string(e.Data))
	}
	return strings.Join(all, " ")
}

func TestEventLogKeepsNewestOfEachKey(t *testing.T) {
	l := newEventLog()
	put := func(key, data string) { l.append(loggedEvent{Org: org, Key: key, Data: json.RawMessage(data)}) }
	put("sync_1", "1")
	put("sync_2", "2")
	put("", "3")
	put("sync_1", "4")
	put("", "5")
	for after, want := range []string{"2 3 4 5", "2 3 4 5", "3 4 5", "4 5", "5", ""} {
		events, _ := l.missing(map[string]uint64{l.id: uint64(after)})
		if got := logged(events); got != want {
			t.Errorf("after event %d: %q, want %q", after, got, want)
		}
	}
	_, changed, open := l.after(l.order)
	if !open {
		t.Error("the log is closed")
	}
	put("", "6")
	<-changed
	_, changed, _ = l.after(l.order)
	l.close()
	<-changed
	if _, _, open := l.after(0); open {
		t.Error("the log is still open")
	}
}

func TestEventLogIsBounded(t *testing.T) {
	l := newEventLog()
	for i := range 2 * eventLogSize {
		l.append(loggedEvent{Key: fmt.Sprint(i), Last: true, Data: json.RawMessage("1")})
	}
	if len(l.events) != eventLogSize || l.bytes != eventLogSize {
		t.Errorf("the log has %d events of %d bytes", len(l.events), l.bytes)
	}
	large := bytes.Repeat([]byte("1"), maxEventBytes)
	for range 2 * eventLogBytes / maxEventBytes {
		l.append(loggedEvent{Data: large})
	}
	if len(l.events) != eventLogBytes/maxEventBytes || l.bytes != eventLogBytes {
		t.Errorf("the log has %d events of %d bytes", len(l.events), l.bytes)
	}
	if !l.append(loggedEvent{Data: append(large, '1')}) || l.bytes != eventLogBytes {
		t.Error("an event that is too large is not published, or kept")
	}
	for i := range 2 * maxEventLogs {
		l.append(loggedEvent{eventPosition: eventPosition{fmt.Sprint(i), 1}})
	}
	if len(l.seen) > maxEventLogs {
		t.Errorf("%d logs are remembered", len(l.seen))
	}
}

// After a change of leader, a node gets the events of the former leader that it does not
// have, or those that are recent.
func TestEventLogResumesAfterOtherLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newEventLog()
		put := func(seq uint64, data string) bool {
			return l.append(loggedEvent{eventPosition: eventPosition{"former", seq}, Data: json.RawMessage(data)})
		}
		put(1, "1")
		time.Sleep(replayFor)
		put(2, "2")
		l.append(loggedEvent{Data: json.RawMessage("own")})
		put(4, "4")
		if put(2, "2") || put(3, "3") {
			t.Error("an event was added twice, or after its successor")
		}
		for _, test := range []struct {
			known map[string]uint64
			want  string
		}{
			{map[string]uint64{"former": 0}, "1 2 own 4"},
			{map[string]uint64{"former": 2}, "own 4"},
			{map[string]uint64{"former": 3}, "own 4"},
			{map[string]uint64{"former": 4}, "own"},
			{l.known(), ""},
			{nil, "2 own 4"},
			{map[string]uint64{"another": 7}, "2 own 4"},
		} {
			events, order := l.missing(test.known)
			if got := logged(events); got != test.want || order != l.order {
				t.Errorf("after %v: %q, want %q", test.known, got, test.want)
			}
		}
	})
}
