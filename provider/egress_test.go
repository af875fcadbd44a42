package provider_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"firescan/provider"
)

func egress(t *testing.T, allow ...string) *provider.Egress {
	t.Helper()
	e, err := provider.NewEgress(provider.EgressConfig{Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestEgressCheck(t *testing.T) {
	allow := []string{"minio.example.com:9000", "*.storage.example.org:443", "[::1]:9000", "LOCALHOST:*", "10.20.0.0/16"}
	named := []string{allow[0], allow[1], allow[2], allow[3]}
	for _, c := range []struct {
		allow    []string
		endpoint string
		want     string // "", or the kind
	}{
		{nil, "https://s3.amazonaws.com", ""},
		{nil, "https://s3.eu-central-1.amazonaws.com", ""},
		{nil, "https://bucket.s3.dualstack.us-gov-west-1.amazonaws.com", ""},
		{nil, "https://s3.cn-north-1.amazonaws.com.cn", ""},
		{nil, "https://fra1.digitaloceanspaces.com", ""},
		{nil, "https://storage.googleapis.com/", ""},
		{nil, "http://s3.amazonaws.com", "forbidden"},
		{nil, "https://s3.amazonaws.com:8443", "forbidden"},
		{nil, "https://s3-evil-1.eu-west-1.elb.amazonaws.com", "forbidden"},
		{nil, "https://ec2-1-2-3-4.compute-1.amazonaws.com", "forbidden"},
		{nil, "https://s3.amazonaws.com.evil.example", "forbidden"},
		{nil, "https://evildigitaloceanspaces.com", "forbidden"},
		{nil, "https://minio.example.com:9000", "forbidden"},
		{nil, "http://127.0.0.1:9000", "forbidden"},
		{nil, "http://93.184.216.34", "forbidden"},
		{named, "http://minio.example.com:9000", ""},
		{named, "https://MinIO.Example.com.:9000", ""},
		{named, "http://minio.example.com", "forbidden"},
		{named, "http://minio.example.com.evil.example:9000", "forbidden"},
		{named, "https://eu.storage.example.org", ""},
		{named, "https://storage.example.org", "forbidden"},
		{named, "http://[::1]:9000", ""},
		{named, "http://[::1]:9001", "forbidden"},
		{named, "http://localhost:1", ""},
		{named, "http://10.20.1.1:9000", "forbidden"},
		{allow, "http://10.20.1.1:9000", ""},
		{allow, "http://10.21.1.1:9000", "forbidden"},
		{allow, "http://resolved-at-dial.example:9000", ""},
		{[]string{"*:*", "0.0.0.0/0", "::/0"}, "http://169.254.169.254", "forbidden"},
		{[]string{"*:*"}, "http://[fe80::1%25eth0]:80", "forbidden"},
		{[]string{"*:*"}, "http://[fd00:ec2::254]", "forbidden"},
		{[]string{"*:*"}, "http://100.100.100.200", "forbidden"},
		{[]string{"*:*"}, "http://[::ffff:169.254.169.254]", "forbidden"},
		{[]string{"*:*"}, "http://[64:ff9b::a9fe:a9fe]", "forbidden"},
		{[]string{"*:*"}, "http://[2002:7f00:1::]", "forbidden"},
		{[]string{"*:*"}, "http://0.0.0.0:80", "forbidden"},
		{[]string{"*:*", "::/0"}, "http://[fd20:ce::254]", "forbidden"},
		{[]string{"*:*", "::/0"}, "http://[fd00:42::42]", "forbidden"},
		// Other forms of 169.254.169.254 and 10.0.0.1: compatible, translated, ISATAP, Teredo.
		{[]string{"*:*", "::/0"}, "http://[::a9fe:a9fe]", "forbidden"},
		{[]string{"*:*", "::/0"}, "http://[::ffff:0:a9fe:a9fe]", "forbidden"},
		{[]string{"*:*", "::/0"}, "http://[::ffff:0:a00:1]", "forbidden"},
		{[]string{"*:*", "::/0"}, "http://[2001:db8::5efe:a9fe:a9fe]", "forbidden"},
		{[]string{"*:*", "::/0"}, "http://[2001:db8::200:5efe:a00:1]", "forbidden"},
		{[]string{"*:*", "::/0"}, "http://[2001:0:5db8:d822::5601:5601]", "forbidden"},
		{[]string{"*:*", "::/0"}, "http://[2001:0:a9fe:a9fe::a247:27dd]", "forbidden"},
		{[]string{"::/0"}, "http://[2001:0:5db8:d822::a247:27dd]", ""},
		{[]string{"::/0"}, "http://[2001:db8::5efe:5db8:d822]", ""},
		// A network's own translators: private, and to metadata in no form.
		{[]string{"*.example.com:*"}, "http://[64:ff9b:1::5db8:d822]", "forbidden"},
		{[]string{"64:ff9b:1::/48"}, "http://[64:ff9b:1::5db8:d822]", ""},
		{[]string{"64:ff9b:1::/48"}, "http://[64:ff9b:1::a00:1]", ""},
		{[]string{"64:ff9b:1::/48"}, "http://[64:ff9b:1::a9fe:a9fe]", "forbidden"},
		{[]string{"64:ff9b:1::/48"}, "http://[64:ff9b:1:a9fe:a9:fe00::]", "forbidden"},
		{[]string{"64:ff9b:1::/48"}, "http://[64:ff9b:1:a9:fe:a9fe::]", "forbidden"},
		{[]string{"64:ff9b:1::/48"}, "http://[64:ff9b:1:0:a9:fea9:fe00:0]", "forbidden"},
		{[]string{"*:*"}, "http://127.0.0.1:80", ""},
		{named, "ftp://minio.example.com:9000", "invalid"},
		{named, "minio.example.com:9000", "invalid"},
		{named, "http://user:pw@minio.example.com:9000", "invalid"},
		{named, "http://minio.example.com:9000?x=y", "invalid"},
		{named, "http://", "invalid"},
		{named, "", "invalid"},
	} {
		got := ""
		if err := egress(t, c.allow...).Check(c.endpoint); err != nil {
			got = provider.KindOf(err).String()
		}
		if got != c.want {
			t.Errorf("allowed %q: Check(%q) is %q, want %q", c.allow, c.endpoint, got, c.want)
		}
	}
}

func TestEgressPatterns(t *testing.T) {
	for _, bad := range []string{"", "host", "host:", ":9000", "10.0.0.0/99", "https://host:9000/x"} {
		if _, err := provider.NewEgress(provider.EgressConfig{Allow: []string{bad}}); err == nil {
			t.Errorf("pattern %q is accepted", bad)
		}
	}
}

// TestEgressAtDialTime connects through names that resolve to this machine.
func TestEgressAtDialTime(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	get := func(e *provider.Egress, url string) error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := e.HTTPClient().Do(request)
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
	for _, c := range []struct {
		allow []string
		host  string
		ok    bool
	}{
		{nil, "127.0.0.1", false},
		{nil, "localhost", false},
		{[]string{"localhost:" + port}, "localhost", true},
		{[]string{"localhost:1"}, "localhost", false},
		{[]string{"127.0.0.0/8"}, "localhost", true},
		{[]string{"127.0.0.0/8"}, "127.0.0.1", true},
		{[]string{"10.0.0.0/8"}, "localhost", false},
		{[]string{"local*:" + port}, "localhost", false},
		{[]string{"*host:*"}, "localhost", false},
		{[]string{"local*:" + port, "127.0.0.0/8"}, "localhost", true},
		{[]string{"local*:" + port, "127.0.0.*:" + port}, "localhost", true},
	} {
		err := get(egress(t, c.allow...), "http://"+c.host+":"+port)
		if c.ok && err != nil || !c.ok && provider.KindOf(err) != provider.Forbidden {
			t.Errorf("allowed %q, host %s: %v", c.allow, c.host, err)
		}
	}
	for _, address := range []string{"169.254.169.254:80", "[fd00:ec2::254]:80", "0.0.0.0:" + port} {
		_, err := egress(t, "*:*").DialContext(context.Background(), "tcp", address)
		if provider.KindOf(err) != provider.Forbidden || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func FuzzEgressCheck(f *testing.F) {
	f.Add("http://169.254.169.254")
	f.Add("https://s3.amazonaws.com")
	e, err := provider.NewEgress(provider.EgressConfig{Allow: []string{"*.example.com:*"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, endpoint string) {
		if e.Check(endpoint) == nil && !strings.HasPrefix(strings.ToLower(endpoint), "http") {
			t.Errorf("%q passes", endpoint)
		}
	})
}
