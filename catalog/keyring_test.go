package catalog

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func testKEK(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func testKeyring(t *testing.T) (*Keyring, []byte) {
	t.Helper()
	encrypted, err := NewKeyset(testKEK(1))
	if err != nil {
		t.Fatal(err)
	}
	k, err := OpenKeyring(testKEK(1), encrypted)
	if err != nil {
		t.Fatal(err)
	}
	return k, encrypted
}

func TestKeyringBindsToItsField(t *testing.T) {
	k, encrypted := testKeyring(t)
	sealed, err := k.Seal("org", "dest", "secretAccessKey", "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("hunter2")) || bytes.Contains(encrypted, testKEK(1)) {
		t.Error("the text shows")
	}
	if plain, err := k.Open("org", "dest", "secretAccessKey", sealed); err != nil || plain != "hunter2" {
		t.Errorf("opened as %q, %v", plain, err)
	}
	for _, other := range [][3]string{
		{"org2", "dest", "secretAccessKey"},
		{"org", "dest2", "secretAccessKey"},
		{"org", "dest", "accessKeyId"},
		{"orgdest", "", "secretAccessKey"},
	} {
		if _, err := k.Open(other[0], other[1], other[2], sealed); err == nil {
			t.Errorf("opened as %q", other)
		}
	}
}

func TestSealContextIsUnambiguous(t *testing.T) {
	part := rapid.StringMatching(`[ab\x00]{0,3}`)
	rapid.Check(t, func(t *rapid.T) {
		var a, b [3]string
		for i := range a {
			a[i], b[i] = part.Draw(t, "a"), part.Draw(t, "b")
		}
		if (a == b) != bytes.Equal(sealContext(a[0], a[1], a[2]), sealContext(b[0], b[1], b[2])) {
			t.Fatalf("%q and %q", a, b)
		}
	})
}

func TestRotate(t *testing.T) {
	old, encrypted := testKeyring(t)
	rotated, err := Rotate(testKEK(1), encrypted)
	if err != nil {
		t.Fatal(err)
	}
	k, err := OpenKeyring(testKEK(1), rotated)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := old.Seal("o", "d", "f", "x")
	if plain, err := k.Open("o", "d", "f", before); err != nil || plain != "x" {
		t.Errorf("what was sealed before the rotation: %q, %v", plain, err)
	}
	after, _ := k.Seal("o", "d", "f", "x")
	if _, err := old.Open("o", "d", "f", after); err == nil {
		t.Error("after the rotation the old key still seals")
	}
	again, err := Rotate(testKEK(1), rotated)
	if err != nil {
		t.Fatal(err)
	}
	if k, err = OpenKeyring(testKEK(1), again); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open("o", "d", "f", before); err == nil {
		t.Error("a key that was replaced twice still opens")
	}
	if plain, err := k.Open("o", "d", "f", after); err != nil || plain != "x" {
		t.Errorf("what the key before seals: %q, %v", plain, err)
	}
}

func TestWrongKey(t *testing.T) {
	_, encrypted := testKeyring(t)
	if _, err := OpenKeyring(testKEK(2), encrypted); err == nil || !strings.Contains(err.Error(), "the cluster secret does not open the credential keyset") {
		t.Errorf("another key: %v", err)
	}
	if _, err := Rotate(testKEK(2), encrypted); err == nil {
		t.Error("rotated with another key")
	}
	for _, kek := range [][]byte{nil, make([]byte, 16), make([]byte, 33)} {
		if _, err := NewKeyset(kek); err == nil || !strings.Contains(err.Error(), "32") {
			t.Errorf("a key of %d bytes: %v", len(kek), err)
		}
	}
	if _, err := OpenKeyring(testKEK(1), nil); err == nil {
		t.Error("opened no keyset")
	}
}
