package catalog

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
)

func TestCanonicalEndpoint(t *testing.T) {
	for given, want := range map[string]string{
		"http://127.0.0.1:9000":               "http://127.0.0.1:9000",
		"HTTP://MinIO.Example.COM.:09000/":    "http://minio.example.com:9000",
		"https://s3.example.com:443":          "https://s3.example.com",
		"https://s3.example.com:80":           "https://s3.example.com:80",
		"http://s3.example.com:":              "http://s3.example.com",
		"http://s3.example.com:080/base/":     "http://s3.example.com/base",
		"http://[0:0:0:0:0:0:0:1]:9000":       "http://[::1]:9000",
		"http://[::FFFF:127.0.0.1]:9000":      "http://127.0.0.1:9000",
		"http://[2001:DB8::0001]":             "http://[2001:db8::1]",
		"https://user@s3.example.com/?q=1":    "https://user@s3.example.com/?q=1", // refused elsewhere
		"http://127.0.0.01:9000":              "",
		"http://0177.0.0.1:9000":              "",
		"http://127.1:9000":                   "",
		"http://2130706433:9000":              "",
		"http://0x7f000001:9000":              "",
		"http://0x7f.0.0.1:9000":              "",
		"http://127.0.0.1.:9000":              "",
		"http://[fe80::1%25eth0]:9000":        "",
		"http://b\u00fccher.example.com:9000": "",
		"http://s3..example.com":              "",
		"http://s3.example.com:0":             "",
		"http://s3.example.com:65536":         "",
		"s3.example.com":                      "",
		"":                                    "",
	} {
		got, err := CanonicalEndpoint(given)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v, want %q", given, got, err, want)
		}
		if again, err := CanonicalEndpoint(got); want != "" && (err != nil || again != got) {
			t.Errorf("%q is %q the second time, %v", got, again, err)
		}
	}
}

// genEndpoint draws spellings of one host and port.
func genEndpoint(t *rapid.T, addr netip.Addr, name string, port uint16) string {
	host := name
	if addr.IsValid() {
		host = genAddress(t, addr)
	} else if rapid.Bool().Draw(t, "upper") {
		host = strings.ToUpper(host)
	}
	if !strings.HasPrefix(host, "[") && rapid.Bool().Draw(t, "dot") {
		host += "."
	}
	zeros := strings.Repeat("0", rapid.IntRange(0, 3).Draw(t, "zeros"))
	at := fmt.Sprintf("%s:%s%d", host, zeros, port)
	if (port == 80 || port == 443) && rapid.Bool().Draw(t, "default port") {
		at = host + rapid.SampledFrom([]string{"", ":"}).Draw(t, "colon")
	}
	scheme := rapid.SampledFrom([]string{"http://", "https://", "HTTP://", "Https://", ""}).Draw(t, "scheme")
	user := rapid.SampledFrom([]string{"", "user@"}).Draw(t, "user")
	return scheme + user + at + rapid.SampledFrom([]string{"", "/", "/x", "/x/y:z@w", "?q=/", "#f"}).Draw(t, "rest")
}

func genAddress(t *rapid.T, addr netip.Addr) string {
	if addr.Is6() {
		long := addr.StringExpanded()
		form := rapid.SampledFrom([]string{addr.String(), long, strings.ToUpper(long), addr.String() + "%eth0", addr.String() + "%251"}).Draw(t, "form")
		return "[" + form + "]"
	}
	b := addr.As4()
	part := func(n uint32, name string) string {
		return fmt.Sprintf(rapid.SampledFrom([]string{"%d", "0%o", "000%o", "0x%x", "0X%02X"}).Draw(t, name), n)
	}
	last := func(from int) (n uint32) {
		for _, c := range b[from:] {
			n = n<<8 | uint32(c)
		}
		return n
	}
	parts := rapid.IntRange(1, 5).Draw(t, "parts")
	if parts == 5 {
		return "[::ffff:" + addr.String() + "]"
	}
	var list []string
	for i := range parts - 1 {
		list = append(list, part(uint32(b[i]), "part"))
	}
	return strings.Join(append(list, part(last(parts-1), "last")), ".")
}

// TestSpellingsOfEndpoints: every spelling of a host and port is one bucket, and identities
// are stable.
func TestSpellingsOfEndpoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var addr netip.Addr
		name := rapid.SampledFrom([]string{"minio", "minio.example.com", "s3-1.example.com", "xn--bcher-kva.example", "a_b", "localhost"}).Draw(t, "name")
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 1:
			addr = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4")))
		case 2:
			addr = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6"))).Unmap()
		}
		port := rapid.SampledFrom([]uint16{80, 443, 9000, 31901, 1, 65535, 8080, 4430}).Draw(t, "port")
		typ := rapid.SampledFrom([]string{TypeS3, TypeGCS}).Draw(t, "type")
		id := func() string {
			d := &pb.Destination{Type: typ, Bucket: "b", Endpoint: genEndpoint(t, addr, name, port)}
			id := BucketID(d)
			if again := canonicalID(id); again != id {
				t.Fatalf("%q is %q, and that is %q", d.Endpoint, id, again)
			}
			if canonical, err := CanonicalEndpoint(d.Endpoint); err == nil {
				if other := BucketID(&pb.Destination{Type: typ, Bucket: "b", Endpoint: canonical}); other != id {
					t.Fatalf("%q is %q, its canonical form %q is %q", d.Endpoint, id, canonical, other)
				}
			}
			return id
		}
		if a, b := id(), id(); a != b {
			t.Fatalf("spellings of one endpoint are %q and %q", a, b)
		}
	})
}

// TestUpgradeOfIdentities: identities that older versions have made from another spelling
// become one, with all that is stored by them.
func TestUpgradeOfIdentities(t *testing.T) {
	c := openTest(t)
	for _, id := range []string{"storage_1", "storage_2"} {
		d := testDestination("org", id)
		d.Endpoint = "http://127.0.0.1:9000"
		mustPut(t, c, d, true)
		apply(t, c, &pb.StartSync{Org: "org", DestinationId: id, SyncId: "sync_" + id})
		putBackup(t, c, "org", &pb.Backup{Id: "b_" + id, StorageId: id, StoragePath: []byte("a/" + id), Files: [][]byte{[]byte("f")}})
		apply(t, c, &pb.PutRecords{Org: "org", Records: []*pb.Record{{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Id: "p_" + id, StorageId: id, Prefix: []byte("x/")}}}}})
	}
	apply(t, c, &pb.BeginDelete{Org: "org", DestinationId: "storage_1", Id: "del_1", Node: "n", Revision: 1, Paths: [][]byte{[]byte("orphan")}})
	apply(t, c, &pb.SetBucketRelation{BucketId: "s3/127.0.0.1:9000/bucket", OtherId: "s3/minio:9000/bucket", Same: true})
	want := dump(t, c)

	// What version 2 made of the same log, had the endpoints been of several spellings.
	old := strings.Replace(want, `"format": 00000003`, `"format": 00000002`, 1)
	old = strings.Replace(old, "proofs\n", "", 1)
	const canonical, other = "s3/127.0.0.1:9000/bucket", "s3/127.0.0.1:09000/bucket"
	hexOf := func(s string) string { return fmt.Sprintf("%02x%x", len(s), s) }
	lines := strings.Split(old, "\n")
	section, pairs := "", 0
	for i, line := range lines {
		switch {
		case !strings.HasPrefix(line, " "):
			section, pairs = line, 0
		case section == "prefixes", section == "links" && strings.HasPrefix(line, "    "), strings.Contains(line, metaRelation):
			line = line[:len(line)-2*checksumSize] // which version 2 does not have
			lines[i] = line
		}
		switch {
		case (section == "links" || section == "deltas") && strings.HasPrefix(line, "    "):
			if pairs++; pairs == 2 { // one identity has the first, the other one the rest
				lines[i] = fmt.Sprintf("  %q\n%s", canonical, line)
			}
		case section == "links", section == "deltas", section == "marks":
			lines[i] = strings.Replace(line, canonical, other, 1)
		case section == "homes" && strings.Contains(line, "storage_1"), section == "prefixes" && strings.Contains(line, "p_storage_1"),
			section == "prefixes-by-pitr" && strings.Contains(line, "p_storage_1"), section == "destinations-by-bucket" && strings.Contains(line, "storage_1"):
			lines[i] = strings.Replace(line, canonical, other, 1)
		case section == "meta":
			lines[i] = strings.Replace(line, canonical, other, 1)
		case section == "intents":
			lines[i] = strings.Replace(line, hexOf(canonical), hexOf(other), 1)
		}
	}
	old = strings.Join(lines, "\n")
	if strings.Count(old, other) < 8 || old == want {
		t.Fatalf("the old state has few other spellings:\n%s", old)
	}
	dumped, path := filepath.Join(t.TempDir(), "old.txt"), filepath.Join(t.TempDir(), "catalog.db")
	if err := os.WriteFile(dumped, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	undump(t, dumped, path)
	upgraded, _ := openTestAt(t, path)
	if got := dump(t, upgraded); got != want {
		t.Errorf("it was brought up to date as\n%s\nwant\n%s", got, want)
	}
}
