package cluster

import (
	"encoding/binary"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	cpb "firescan/cluster/clusterpb"
)

// TestStrangersOnGossipPort opens connections that announce large encrypted messages, send
// what they can and wait. memberlist would hold three times of it all, without a key. It is
// not parallel, for the memory of other tests.
func TestStrangersOnGossipPort(t *testing.T) {
	logged := &logBuffer{}
	keys, err := memberlist.NewKeyring(nil, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	g := newGossip("n1", keys, slog.New(slog.NewTextHandler(logged, nil)))
	g.metadata = func() *cpb.NodeMeta { return &cpb.NodeMeta{} }
	if err := g.start("127.0.0.1:0", "127.0.0.1", fast.withDefaults(), faults{}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	}()
	before := heap()
	var sent sync.WaitGroup
	conns := make([]net.Conn, 100)
	for i := range conns {
		conn, err := net.Dial("tcp", g.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns[i] = conn
		// The message type of encryption, and the length.
		labeled, err := memberlist.AddLabelHeaderToPacket(binary.BigEndian.AppendUint32([]byte{10}, 20<<20), gossipLabel)
		if err != nil {
			t.Fatal(err)
		}
		size := maxGossipBytes - 1<<10
		if i%2 == 1 {
			size = 2 << 20
		}
		sent.Go(func() {
			_, _ = conn.Write(append(labeled, make([]byte, size)...)) // those refused break
		})
	}
	sent.Wait()
	held := heap() - before
	t.Logf("%d KiB held", held>>10)
	if held > 64<<20 {
		t.Errorf("strangers hold %d MiB", held>>20)
	}
	// All end, also those that go on byte by byte.
	for _, conn := range conns {
		for err := error(nil); err == nil; time.Sleep(time.Millisecond) {
			_, err = conn.Write([]byte{0})
		}
	}
	for _, text := range []string{"connection to the gossip port refused", "from=127.0.0.1"} {
		if !strings.Contains(logged.String(), text) {
			t.Errorf("%q was not logged", text)
		}
	}
}

// heap returns the bytes of objects that are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far from the limit
}
