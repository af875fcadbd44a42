package catalog

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

func proposeOnce(t *testing.T, c *Catalog, m proto.Message, once *pb.Once) *pb.Result {
	t.Helper()
	data, err := EncodeOnce(m, once)
	if err != nil {
		t.Fatal(err)
	}
	results, err := c.Apply([]Entry{{Index: c.AppliedIndex() + 1, Term: 1, Data: data}})
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

// TestOnce: a request that is sent again finds what its first attempt has made.
func TestOnce(t *testing.T) {
	c := openTest(t)
	once := &pb.Once{Org: "o", Key: "k", Fingerprint: []byte("f"), At: 1000}
	create := func(id string) proto.Message {
		return &pb.PutDestination{Create: true, Destination: testDestination("o", id)}
	}
	// A refusal is not remembered.
	if r := proposeOnce(t, c, &pb.DeleteDestination{Org: "o", Id: "d"}, once); r.Code != CodeNotFound {
		t.Fatal(r)
	}
	for _, id := range []string{"first", "second"} {
		if r := proposeOnce(t, c, create(id), once); r.Code != "" || r.Id != "first" {
			t.Errorf("%s: %v", id, r)
		}
	}
	other := proto.CloneOf(once)
	other.Fingerprint = []byte("g")
	if err := ResultError(proposeOnce(t, c, create("third"), other)); !errors.Is(err, ErrConflict) {
		t.Errorf("another request with the key: %v", err)
	}
	if err := ResultError(proposeOnce(t, c, create("third"), &pb.Once{Org: "o"})); !errors.Is(err, ErrInvalid) {
		t.Errorf("no key: %v", err)
	}
	// The response is stored with the result.
	answer := &pb.StoreAnswer{Org: "o", Key: "k", Fingerprint: []byte("f"), Status: 201, Body: []byte("first"), At: 2000}
	apply(t, c, answer)
	answer.Body = []byte("second")
	apply(t, c, answer)
	err := c.View(func(tx *Tx) error {
		a, err := tx.Answer("o", "k")
		if err == nil && (a.Status != 201 || string(a.Body) != "first" || a.Result.GetId() != "first" || a.At != 1000) {
			t.Errorf("answer %v", a)
		}
		if _, err := tx.Answer("o2", "k"); !errors.Is(err, ErrNotFound) {
			t.Errorf("another organization's key: %v", err)
		}
		all, _ := tx.AllDestinations()
		if len(all) != 1 {
			t.Errorf("%d destinations", len(all))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// After a day the key is free.
	once.At += answerTTL + 1
	if r := proposeOnce(t, c, create("next day"), once); r.Id != "next day" {
		t.Error(r)
	}
}

// TestKeysExpire: each command removes few expired keys, and in the end all are removed.
func TestKeysExpire(t *testing.T) {
	c := openTest(t)
	const answers = 2*expiredPerCommand + 50
	at := int64(1000)
	store := func(key string) {
		r := apply(t, c, &pb.StoreAnswer{Org: "o", Key: key, Status: 200, At: at})
		if r.Code != "" {
			t.Fatal(r)
		}
	}
	left := func() (n int) {
		if err := c.View(func(tx *Tx) error {
			n = len(keysOf(tx.bucket(inAnswers), nil))
			if m := len(keysOf(tx.bucket(inAnswersByTime), nil)); m != n {
				t.Errorf("%d stored responses, %d by time", n, m)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range answers {
		store(fmt.Sprint(i))
	}
	if n := left(); n != answers {
		t.Fatalf("%d of %d are left", n, answers)
	}
	at += answerTTL + 1
	for i, want := range []int{answers - expiredPerCommand + 1, answers - 2*expiredPerCommand + 2, 3, 4} {
		store(fmt.Sprintf("new %d", i))
		if n := left(); n != want {
			t.Errorf("%d are left, want %d", n, want)
		}
	}
}

// TestResponsesAreForgotten: the oldest responses of an organization make room for new ones, and
// those of others stay.
func TestResponsesAreForgotten(t *testing.T) {
	c := openTest(t)
	store := func(org, key string, at int64, forget ...string) {
		t.Helper()
		r := apply(t, c, &pb.StoreAnswer{Org: org, Key: key, Status: 200, Body: make([]byte, 1000), At: at, Forget: forget})
		if r.Code != "" {
			t.Fatal(r)
		}
	}
	for i := range 20 {
		store("o", fmt.Sprint("k", 99-i), int64(1000+i))
	}
	store("o2", "k99", 1)
	above := func(number, bytes int) (keys []string) {
		t.Helper()
		if err := c.View(func(tx *Tx) (err error) {
			keys, err = tx.AnswersAbove("o", 1000, number, bytes)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	for _, limit := range []struct{ number, bytes, want int }{
		{21, 1 << 20, 0}, {20, 1 << 20, 3}, {10, 1 << 20, 12}, {1000, 22_000, 0}, {1000, 20_000, 4}, {1, 1, 20},
	} {
		keys := above(limit.number, limit.bytes)
		if len(keys) != limit.want || limit.want > 0 && (keys[0] != "k99" || keys[len(keys)-1] != fmt.Sprint("k", 100-limit.want)) {
			t.Errorf("%+v: %q", limit, keys)
		}
	}
	store("o", "new", 5000, append(above(10, 1<<20), "unknown")...)
	if err := c.View(func(tx *Tx) error {
		if n, byTime := len(keysOf(tx.bucket(inAnswers), nil)), len(keysOf(tx.bucket(inAnswersByTime), nil)); n != 10 || byTime != n {
			t.Errorf("%d responses are left, %d by time, want 10", n, byTime)
		}
		_, err := tx.Answer("o2", "k99")
		return err
	}); err != nil {
		t.Error(err)
	}
}

// BenchmarkAnswersAbove has an organization with as many responses as it may have.
func BenchmarkAnswersAbove(b *testing.B) {
	c, err := Open(filepath.Join(b.TempDir(), "catalog.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for i := range 10_000 {
		data, err := Encode(&pb.StoreAnswer{Org: "o", Key: fmt.Sprint("key-of-a-client-", i), Fingerprint: make([]byte, 32), Status: 200, Body: make([]byte, 500), At: 1})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Apply([]Entry{{Index: uint64(i + 1), Data: data}}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := c.View(func(tx *Tx) error {
			_, err := tx.AnswersAbove("o", 500, 20_000, 16<<20)
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}
