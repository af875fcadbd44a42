package catalog

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestSecretNeverShows(t *testing.T) {
	s := NewSecret("hunter2")
	type wrapped struct {
		Public  Secret
		private Secret
		Map     map[string]Secret
	}
	w := wrapped{s, s, map[string]Secret{"k": s}}
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		for _, v := range []any{s, &s, w, &w, []Secret{s}} {
			fmt.Fprintf(&shown, verb+"\n", v)
		}
	}
	fmt.Fprintln(&shown, fmt.Errorf("wrong: %v", s), errors.New(s.String()))
	for _, v := range []any{s, &s, w} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(data)
	}
	if data, err := xml.Marshal(struct{ S Secret }{s}); err == nil {
		shown.Write(data)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
		slog.New(h).Info("m", "s", s, "p", &s, "w", w)
	}
	for _, leak := range []string{"hunter2", "68756e74657232", "68756E74657232", "104 117"} {
		if strings.Contains(shown.String(), leak) {
			t.Errorf("%q shows in:\n%s", leak, shown.String())
		}
	}
	if got := fmt.Sprint(s); got != "[redacted]" {
		t.Errorf("shows as %q", got)
	}
	if s.Reveal() != "hunter2" || (Secret{}).Reveal() != "" {
		t.Error("reveals something else")
	}
}

func TestSecretDecodes(t *testing.T) {
	var got struct{ Key Secret }
	if err := json.Unmarshal([]byte(`{"key":"hunter2"}`), &got); err != nil || got.Key.Reveal() != "hunter2" {
		t.Errorf("%q, %v", got.Key.Reveal(), err)
	}
}

func TestNewToken(t *testing.T) {
	form := regexp.MustCompile(`^fsk_[0-9A-Za-z]{43}$`)
	seen := set{}
	for range 1000 {
		token := NewToken()
		if !form.MatchString(token) || seen[token] {
			t.Fatalf("token %q", token)
		}
		seen[token] = true
	}
	if a, b := HashToken("fsk_a"), HashToken("fsk_b"); len(a) != 32 || bytes.Equal(a, b) || !bytes.Equal(a, HashToken("fsk_a")) {
		t.Error("the hash does not tell tokens apart")
	}
}

func TestNewID(t *testing.T) {
	form := regexp.MustCompile(`^sync_[0-9a-hjkmnp-tv-z]{26}$`)
	var ids []string
	for range 1000 {
		id := NewID(KindSync)
		if !form.MatchString(id) {
			t.Fatalf("id %q", id)
		}
		ids = append(ids, id[:len("sync_")+10]) // the time
	}
	if !slices.IsSorted(ids) {
		t.Error("later ids sort before earlier ones")
	}
}

func TestRoles(t *testing.T) {
	for _, r := range Roles() {
		if !r.Valid() {
			t.Errorf("%s is not valid", r)
		}
	}
	if Role("").Valid() || Role("Admin").Valid() {
		t.Error("an unknown role is valid")
	}
}
