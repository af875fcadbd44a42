package cluster

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	cpb "firescan/cluster/clusterpb"
)

const (
	// raftWait bounds each read and write of a raft request; snapshots get more by size.
	raftWait = 5 * time.Second
	// raftPool is how many idle connections to each node raft keeps.
	raftPool = 3
	// maxGreeting is more than any greeting has, in bytes.
	maxGreeting = 4 << 10
)

// streams carries raft over the cluster port. Raft's addresses are ids here: where a node
// is, gossip knows, and what it told last is remembered (see resolve). Nothing of that is in the
// log: raft 1.8.0 has a data race when the address of a follower changes.
//
// A connection begins with a greeting: the cluster, who calls and whom. So no node takes
// part in the log of another cluster, nor answers in the place of another, nor votes while
// its disk is empty and it may have voted before.
type streams struct {
	*lane
	cluster *Cluster
}

var _ raft.StreamLayer = (*streams)(nil)

// Addr implements net.Listener.
func (s *streams) Addr() net.Addr { return byID(s.cluster.id) }

// byID is the address of a node as raft knows it.
type byID string

// Network implements net.Addr.
func (byID) Network() string { return "node" }

// String implements net.Addr.
func (a byID) String() string { return string(a) }

// Dial implements raft.StreamLayer.
func (s *streams) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), min(timeout, dialWait))
	defer cancel()
	conn, err := s.cluster.dial(ctx, string(address), protocolRaft)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if err := s.greet(conn, string(address)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

// greet says who calls, and hears whether it is welcome.
func (s *streams) greet(conn net.Conn, to string) error {
	me := s.cluster.identity.get()
	if err := writeFrame(conn, &cpb.Greeting{ClusterId: me.Cluster, From: s.cluster.id, To: to}); err != nil {
		return fmt.Errorf("greet node %s: %w", to, err)
	}
	var answer cpb.GreetingAnswer
	if err := readFrame(conn, &answer); err != nil {
		return fmt.Errorf("greet node %s: %w", to, refusal(err))
	}
	if answer.Refusal != "" {
		return fmt.Errorf("node %s refused: %s", to, answer.Refusal)
	}
	return nil
}

// welcome answers a greeting.
func (s *streams) welcome(conn net.Conn) error {
	var g cpb.Greeting
	if err := readFrame(conn, &g); err != nil {
		return fmt.Errorf("read a greeting: %w", err)
	}
	answer := &cpb.GreetingAnswer{}
	err := s.judge(&g)
	if err != nil {
		answer.Refusal = err.Error()
	}
	return errors.Join(err, writeFrame(conn, answer))
}

func (s *streams) judge(g *cpb.Greeting) error {
	me := s.cluster.identity.get()
	switch {
	case g.To != s.cluster.id:
		return fmt.Errorf("this is node %s, not %s, that node %s calls", s.cluster.id, g.To, g.From)
	case g.ClusterId == "":
		return fmt.Errorf("node %s belongs to no cluster yet", g.From)
	case me.Stage == stageFresh || me.Stage == stageFounding:
		return fmt.Errorf("node %s is fresh and was not admitted yet", s.cluster.id)
	case me.Cluster != g.ClusterId:
		return fmt.Errorf("node %s belongs to cluster %s and node %s to cluster %s: they do not mix; remove the data directory of the one that is to join the other",
			s.cluster.id, me.Cluster, g.From, g.ClusterId)
	case me.Stage == stagePromised:
		// The founder has begun: no other sends raft's messages.
		return s.cluster.becomeMember(g.ClusterId)
	}
	return nil
}

// server is a voter as raft knows it.
func server(id string) raft.Server {
	return raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)}
}

func writeFrame(w io.Writer, m proto.Message) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode a greeting: %w", err)
	}
	if len(data) > maxGreeting {
		return fmt.Errorf("a greeting of %d bytes", len(data))
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)) //nolint:gosec // at most maxGreeting
	return err
}

func readFrame(r io.Reader, m proto.Message) error {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint16(head[:])
	if size > maxGreeting {
		return fmt.Errorf("a greeting of %d bytes", size)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	return proto.Unmarshal(data, m)
}

// dial opens a connection to a node for one of the protocols of the cluster port, within
// dialWait. When nothing was sent, as it is unless the node was reached, its error is a
// *dialError.
func (c *Cluster) dial(ctx context.Context, id, protocol string) (net.Conn, error) {
	if c.port == nil {
		return nil, &dialError{errors.New("this node has no port for other nodes")}
	}
	address, err := c.resolve(id)
	if err != nil {
		return nil, &dialError{err}
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &dialError{fmt.Errorf("the address of node %s: %w", id, err)}
	}
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	conn, err := c.wire.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, c.security.client(id, host, protocol))
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		err = fmt.Errorf("node %s at %s: %w", id, address, refusal(err))
		if errors.Is(err, errOtherSecret) && c.told.now("dial "+id) {
			c.logger.Warn("another node could not be trusted", "peer", id, "address", address, "error", err)
		}
		return nil, &dialError{err}
	}
	return secure, nil
}
