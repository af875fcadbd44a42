package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	pb "firescan/catalog/catalogpb"
)

// damageRecords is the number of backups in the file that is damaged.
const damageRecords = 300

// damageFile writes a catalog in which records link files in every way, and returns the keys
// that must never be deleted.
func damageFile(t *testing.T, path string) (needed [][]byte) {
	t.Helper()
	c, _ := openTestAt(t, path)
	mustPut(t, c, testDestination("org", "storage_1"), true)
	resolver := NewResolver([]*pb.Destination{testDestination("org", "storage_1")})
	m := &pb.PutRecords{Org: "org"}
	for i := range damageRecords {
		key := fmt.Sprintf("backups/bkp_%03d.backup", i)
		b := &pb.Backup{Id: fmt.Sprintf("b%03d", i), StorageId: "storage_1", StoragePath: []byte(key)}
		switch i % 10 {
		case 1:
			b.StoragePath = []byte("s3://bucket/" + key)
		case 2:
			b.Files = [][]byte{fmt.Appendf(nil, "parts/%03d", i)}
			needed = append(needed, b.Files...)
		case 3:
			b.StoragePath = fmt.Appendf(nil, "folders/%03d/", i)
			key = fmt.Sprintf("folders/%03d/x", i)
		}
		if err := resolver.ResolveBackup(b); err != nil {
			t.Fatal(err)
		}
		needed = append(needed, []byte(key))
		m.Records = append(m.Records, &pb.Record{Kind: &pb.Record_Backup{Backup: b}})
	}
	m.Records = append(m.Records, &pb.Record{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Id: "p", StorageId: "storage_1", Prefix: []byte("wal/")}}})
	needed = append(needed, []byte("wal/1"))
	if r := apply(t, c, m); len(r.GetRejected()) > 0 {
		t.Fatal(r)
	}
	if r := apply(t, c, &pb.BeginDelete{Org: "org", DestinationId: "storage_1", Id: "del_0", Revision: 1, Paths: [][]byte{[]byte("orphan")}}); r.GetCode() != "" {
		t.Fatal(r)
	}
	if err := errors.Join(verify(t, c), c.Close()); err != nil {
		t.Fatal(err)
	}
	return needed
}

// TestFlippedLinkBits flips each bit of some links, of a PITR prefix and of a mark while the
// node runs. Each is found.
func TestFlippedLinkBits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	damageFile(t, path)
	c, _ := openTestAt(t, path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id := BucketID(testDestination("org", "storage_1"))
	link := func(kind LinkKind, record, key string) string {
		k := linkKey(kind, "org", record, []byte(key))
		return string(append(k, withChecksum(nil, linkSeed(id), k, []byte("storage_1"))...))
	}
	prefix := join(id, "org", "p", "wal/")
	for what, pair := range map[string]string{
		"link of a path":   link(LinkPath, "b040", "backups/bkp_040.backup"),
		"link of a file":   link(LinkFile, "b042", "parts/042"),
		"link of a folder": link(LinkPrefix, "b043", "folders/043/"),
		"alias":            link(LinkAlias, "b041", "s3://bucket/backups/bkp_041.backup"),
		"prefix":           string(withChecksum(bytes.Clone(prefix), 0, prefix, nil)),
		"mark":             "orphanorg\x00del_0",
	} {
		places := 0
		for at := 0; ; at++ {
			n := bytes.Index(data[at:], []byte(pair))
			if n < 0 {
				break
			}
			at += n
			places++
			found := 0
			for bit := range 8 * len(pair) {
				if err := flipIn(f, data, at+bit/8, 1<<(bit%8)); err != nil {
					t.Fatal(err)
				}
				if err := verify(t, c); errors.Is(err, ErrCatalogDamaged) && c.Damage() != nil {
					found++
				} else if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if err := flipIn(f, data, at+bit/8, 0); err != nil {
					t.Fatal(err)
				}
				c.damage.Store(nil)
			}
			// The file has older copies of a page, which nobody reads.
			if found != 0 && found != 8*len(pair) {
				t.Errorf("%s: %d of %d flipped bits were found", what, found, 8*len(pair))
			}
			if found > 0 {
				places += 1000
			}
		}
		if places < 1000 {
			t.Errorf("%s: no copy in the file is in use (%d copies)", what, places)
		}
	}
	if err := verify(t, c); err != nil {
		t.Errorf("after all was put back: %v", err)
	}
}

// flipIn writes the byte at a place of data, with a mask of flipped bits.
func flipIn(f *os.File, data []byte, at int, mask byte) error {
	_, err := f.WriteAt([]byte{data[at] ^ mask}, int64(at))
	return err
}

// flippedFile is set in the process that opens a damaged file.
const flippedFile = "FIRESCAN_TEST_FLIPPED"

// TestFlippedPages flips one random bit of a page with links or records while the node is
// down: either the node does not start, or it finds the damage, or no needed file can be deleted.
// bbolt crashes the process on some, so another process opens the file.
func TestFlippedPages(t *testing.T) {
	if path := os.Getenv(flippedFile); path != "" {
		openFlipped(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "catalog.db")
	needed := damageFile(t, path)
	if err := os.WriteFile(path+".needed", bytes.Join(needed, []byte("\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number
	random := rand.New(rand.NewPCG(seed, 1))
	runs := 16 // of a second each
	if testing.Short() {
		runs = 8
	}
	page := os.Getpagesize()
	var used []int // pages with links or records, in the newest or an older state
	for at := 0; at+page <= len(good); at += page {
		if bytes.Contains(good[at:at+page], []byte("backups/bkp_")) {
			used = append(used, at)
		}
	}
	outcomes := map[string]int{}
	for range runs {
		bit := 8*used[random.IntN(len(used))] + random.IntN(8*page)
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFlippedPages$", "-test.v") //nolint:gosec // this program
		cmd.Env = append(os.Environ(), flippedFile+"="+path)
		out, err := cmd.CombinedOutput()
		cancel()
		switch {
		case strings.Contains(string(out), "NEEDED"):
			t.Errorf("bit %d (seed %d): %s", bit, seed, out)
		case err != nil:
			outcomes["does not start"]++
		case strings.Contains(string(out), "DAMAGE"):
			outcomes["damage found"]++
		default:
			outcomes["harmless"]++
		}
	}
	t.Log(outcomes)
}

// openFlipped opens a damaged file and tries to delete what is needed.
func openFlipped(t *testing.T, path string) {
	t.Helper()
	list, err := os.ReadFile(path + ".needed")
	if err != nil {
		t.Fatal(err)
	}
	needed := bytes.Split(list, []byte("\n"))
	c, _ := openTestAt(t, path)
	if err := verify(t, c); err != nil {
		t.Log("DAMAGE", err)
		return
	}
	r := apply(t, c, &pb.BeginDelete{Org: "org", DestinationId: "storage_1", Id: "del_1", Revision: 1, Paths: needed})
	if r.GetCode() == "" && len(r.GetRejected()) != len(needed) {
		t.Errorf("NEEDED files were accepted: %d of %d were refused", len(r.GetRejected()), len(needed))
	}
}

// TestDamageInApply: a command that meets a damaged link protects and goes on, and the
// catalog counts as damaged until it is restored.
func TestDamageInApply(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	damageFile(t, path)
	c, _ := openTestAt(t, path)
	if err := c.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(inLinks)).Bucket([]byte(BucketID(testDestination("org", "storage_1"))))
		return b.Put(linkKey(LinkPath, "org", "b040", []byte("backups/bkp_040.backup")), []byte("storage_1xxxx"))
	}); err != nil {
		t.Fatal(err)
	}
	var s bytes.Buffer
	snapshot, err := c.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	r := apply(t, c, &pb.BeginDelete{
		Org: "org", DestinationId: "storage_1", Id: "del_1", Revision: 1, Paths: [][]byte{[]byte("a"), []byte("backups/bkp_040.backup"), []byte("z")},
	})
	if r.GetCode() != "" || len(r.GetRejected()) != 2 || r.GetRejected()[0].GetCode() != CodeDamaged || r.GetRejected()[0].GetIndex() != 1 {
		t.Errorf("the result is %v", r)
	}
	if !errors.Is(c.Damage(), ErrCatalogDamaged) {
		t.Errorf("the damage is %v", c.Damage())
	}
	if err := c.Verify(t.Context(), time.Hour); !errors.Is(err, ErrCatalogDamaged) {
		t.Errorf("it verifies with %v", err)
	}
	// A copy of another node ends it, even if that is damaged: the next scrub finds out.
	if _, err := snapshot.WriteTo(&s); err != nil {
		t.Fatal(err)
	}
	if err := c.Restore(&s); err != nil || c.Damage() != nil {
		t.Errorf("after a restore: %v, %v", err, c.Damage())
	}
	if err := c.Verify(t.Context(), time.Hour); !errors.Is(err, ErrCatalogDamaged) {
		t.Errorf("it verifies with %v", err)
	}
}

// TestVerifyIsShared: a comparison that is new enough is not repeated, and a Restore or Close
// ends one.
func TestVerifyIsShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	damageFile(t, path)
	c, _ := openTestAt(t, path)
	if err := c.Verify(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	first := c.scrubs.last()
	if err := c.Verify(t.Context(), time.Hour); err != nil || !c.scrubs.last().Equal(first) {
		t.Errorf("it was repeated: %v", err)
	}
	if err := c.Verify(t.Context(), 0); err != nil || c.scrubs.last().Equal(first) {
		t.Errorf("it was not repeated: %v", err)
	}
	started, ended := make(chan struct{}), make(chan error, 1)
	run := c.scrubs.join(-1, func(ctx context.Context) error {
		close(started)
		<-ctx.Done()
		return damaged("of the old file")
	}, c.noteDamage)
	go func() { <-run.done; ended <- run.err }()
	<-started
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, errReplaced) || c.Damage() != nil || !c.scrubs.last().IsZero() {
		t.Errorf("the aborted one ended with %v, damage %v", err, c.Damage())
	}
}
