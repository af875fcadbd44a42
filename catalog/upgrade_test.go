package catalog

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// TestUpgrade: a file of each older format becomes what this version would have made of
// the same log.
func TestUpgrade(t *testing.T) {
	for version, entries := range map[int]int{1: 9, 2: 21} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "catalog.db")
			undump(t, filepath.Join("testdata", fmt.Sprintf("state.v%d.txt", version)), path)
			old, _ := openTestAt(t, path)
			fresh := openTest(t)
			if _, err := fresh.Apply(goldenLog(t)[:entries]); err != nil {
				t.Fatal(err)
			}
			if got, want := dump(t, old), dump(t, fresh); got != want {
				t.Errorf("it was brought up to date as\n%s\nwant\n%s", got, want)
			}
			if err := verify(t, old); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestUpgradeLinks interrupts the upgrade of links after each transaction.
func TestUpgradeLinks(t *testing.T) {
	for limit := range 5 {
		path := filepath.Join(t.TempDir(), "catalog.db")
		undump(t, filepath.Join("testdata", "state.v2.txt"), path)
		for more := true; more; {
			db, err := openFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Update(func(tx *bbolt.Tx) (err error) {
				meta := tx.Bucket([]byte(inMeta))
				if binary.BigEndian.Uint32(meta.Get([]byte(metaFormat))) < formatVersion {
					if err := errors.Join(beginChecksums(tx), meta.Put([]byte(metaFormat), []byte{0, 0, 0, formatVersion})); err != nil {
						return err
					}
				}
				more, err = addSomeLinkChecksums(tx, limit+1)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		c, _ := openTestAt(t, path)
		if err := verify(t, c); err != nil {
			t.Errorf("%d links per transaction: %v", limit+1, err)
		}
	}
}

// undump makes the file that dump has written out.
func undump(t *testing.T, dumped, path string) {
	t.Helper()
	text, err := os.ReadFile(dumped)
	if err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		var in []*bbolt.Bucket
		for line := range strings.Lines(strings.TrimSuffix(string(text), "\n")) {
			line = strings.TrimSuffix(line, "\n")
			name := strings.TrimLeft(line, " ")
			depth := (len(line) - len(name)) / 2
			in = in[:depth]
			if depth == 0 {
				b, err := tx.CreateBucket([]byte(name))
				if err != nil {
					return err
				}
				in = append(in, b)
				continue
			}
			quoted, err := strconv.QuotedPrefix(name)
			if err != nil {
				return err
			}
			key, err := strconv.Unquote(quoted)
			if err != nil {
				return err
			}
			digits, isPair := strings.CutPrefix(name[len(quoted):], ": ")
			if !isPair {
				b, err := in[depth-1].CreateBucket([]byte(key))
				if err != nil {
					return err
				}
				in = append(in, b)
				continue
			}
			value, err := hex.DecodeString(digits)
			if err != nil {
				return err
			}
			if err := in[depth-1].Put([]byte(key), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
