package cluster

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	cpb "firescan/cluster/clusterpb"
	rpc "firescan/cluster/clusterpb/clusterpbconnect"
	"firescan/cluster/transport"
	"firescan/cluster/transport/transporttest"
)

// TestClusterOutlivesCertificates runs a cluster for several lifetimes of its certificates.
func TestClusterOutlivesCertificates(t *testing.T) {
	r := newRig(t)
	r.expect = 2
	short := fast
	short.Certificate = 2 * time.Second
	nodes := []*node{r.node("n1"), r.node("n2")}
	for _, n := range nodes {
		n.change = func(c *Config) { c.Timing = short }
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	// The first certificates expire.
	time.Sleep(short.Certificate + time.Second)
	for i, n := range nodes {
		// New connections use the current certificates.
		n.HTTPClient().CloseIdleConnections()
		n.put(i)
	}
	nodes[1].kill()
	nodes[1].start().ready()
}

func TestOtherSecretIsRefused(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(2)
	stranger := r.node("n3")
	stranger.change = func(c *Config) { c.Secrets = [][]byte{bytes.Repeat([]byte("x"), 32)} }
	stranger.start()
	stranger.logs("has another cluster secret")
	nodes[0].logs("it has another cluster secret than this one")
	// The same on the cluster port, both ways.
	stranger.addContact(nodes[0])
	if _, err := stranger.transport.StreamLayer().Dial(raft.ServerAddress(nodes[0].id), time.Minute); !errors.Is(err, transport.ErrOtherSecret) {
		t.Errorf("dial: %v, want ErrOtherSecret", err)
	}
	nodes[0].logs("refused this node's certificate (has it another cluster secret")
	if len(nodes[0].Peers()) != 2 || stranger.Ready() == nil {
		t.Error("a node with another secret joined")
	}
}

// addContact gives a node the address of another one.
func (n *node) addContact(other *node) {
	n.gossip.mu.Lock()
	defer n.gossip.mu.Unlock()
	n.gossip.contacts[other.id] = contact{meta: other.members.metadata(), alive: true}
}

// TestOwnCertificates runs a cluster on certificates from files, and replaces one.
func TestOwnCertificates(t *testing.T) {
	r := newRig(t)
	r.expect = 2
	own := transporttest.NewAuthority(t)
	nodes := []*node{r.node("n1"), r.node("n2")}
	dirs := []string{t.TempDir(), t.TempDir()}
	for i, n := range nodes {
		files := own.Issue(t, dirs[i], n.id)
		n.change = func(c *Config) { c.Certificates = files }
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	nodes[0].put(1)
	nodes[1].has(1)

	if names := presented(t, nodes[0]); !slices.Equal(names, []string{"n1"}) {
		t.Fatalf("the node presents a certificate for %v", names)
	}
	// Another certificate of the authority is nobody: not over RPC, and not over Raft.
	nodes[0].refusesCaller(own.IssueFor(t, t.TempDir(), "some-laptop", "n3"))
	own.Issue(t, dirs[0], "n1", "n1.example.com")
	eventually(t, "the new certificate is presented", func() error {
		if names := presented(t, nodes[0]); !slices.Contains(names, "n1.example.com") {
			return errors.New("it is not")
		}
		return nil
	})
}

// refusesCaller fails unless a node refuses a certificate of its authority, and logs it.
func (n *node) refusesCaller(files transport.CertFiles) {
	t := n.rig.t
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate}} //nolint:gosec // the test trusts it
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}}
	token, err := catalog.Encode(&pb.PutToken{Token: &pb.Token{Id: "t1", Hash: catalog.HashToken("secret"), Role: string(catalog.RoleRoot)}})
	if err != nil {
		t.Fatal(err)
	}
	response, err := rpc.NewPeerClient(client, "https://"+n.transport.Address()).Propose(t.Context(), &cpb.ProposeRequest{Entries: [][]byte{token}})
	if err == nil {
		t.Errorf("RPC: %v", response)
	}
	config.NextProtos = []string{"firescan-raft/1"}
	conn, err := tls.Dial("tcp", n.transport.Address(), config)
	if err == nil {
		defer conn.Close()
		err = writeFrame(conn, &cpb.Greeting{ClusterId: n.members.identity.get().Cluster, From: "n3", To: n.id})
	}
	var greeted cpb.GreetingAnswer
	if err == nil && readFrame(conn, &greeted) == nil {
		t.Errorf("Raft: greeted %v", &greeted)
	}
	n.logs("certificate refused on the cluster port")
	n.logs("some-laptop")
}

// presented returns the DNS names of the certificate that a node presents on its port.
func presented(t *testing.T, n *node) []string {
	t.Helper()
	var leaf *x509.Certificate
	conn, err := tls.Dial("tcp", n.transport.Address(), &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"h2"}, //nolint:gosec // the test looks at it
		VerifyConnection: func(s tls.ConnectionState) error {
			leaf = s.PeerCertificates[0]
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	return leaf.DNSNames
}
