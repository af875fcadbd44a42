package transport_test

import (
	"log/slog"
	"os"
	"testing"

	"firescan/cluster/transport"
	"firescan/cluster/transport/transporttest"
)

func TestReloader(t *testing.T) {
	own, dir := transporttest.NewAuthority(t), t.TempDir()
	files := own.Issue(t, dir, "n1")
	r, err := transport.NewReloader(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	own.Issue(t, dir, "n1", "n1.example.com")
	r.CheckNow()
	second, err := r.Certificate()
	if err != nil || second == first {
		t.Fatalf("the new certificate is not in use: %v", err)
	}
	// A partly written file keeps the previous certificate in use.
	if err := os.WriteFile(files.Cert, []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.CheckNow()
	if third, err := r.Certificate(); err != nil || third != second {
		t.Errorf("with a partly written file: %v", err)
	}
}

func TestReloaderNeedsFiles(t *testing.T) {
	files := transporttest.NewAuthority(t).Issue(t, t.TempDir(), "n1")
	for what, spoil := range map[string]func(*transport.CertFiles){
		"no certificate":      func(f *transport.CertFiles) { f.Cert += ".none" },
		"no key":              func(f *transport.CertFiles) { f.Key += ".none" },
		"no authority":        func(f *transport.CertFiles) { f.CA += ".none" },
		"key as certificate":  func(f *transport.CertFiles) { f.Cert = f.Key },
		"authority is no PEM": func(f *transport.CertFiles) { f.CA = os.Args[0] },
	} {
		wrong := files
		spoil(&wrong)
		if _, err := transport.NewReloader(wrong, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}
