package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"google.golang.org/protobuf/proto"

	cpb "firescan/cluster/clusterpb"
)

// maxGreeting bounds the size of a greeting, in bytes.
const maxGreeting = 4 << 10

// greeter exchanges the greetings that a Raft stream begins with: the cluster, the caller,
// and the node that it calls. So no node takes part in the log of another cluster, receives
// messages for another node, or votes with an empty disk when it may have voted before.
type greeter struct{ members *members }

// greet sends a greeting to node id, and returns an error if it is refused.
func (g greeter) greet(conn net.Conn, id string) error {
	self := g.members.identity.get()
	if err := writeFrame(conn, &cpb.Greeting{ClusterId: self.Cluster, From: g.members.id, To: id}); err != nil {
		return fmt.Errorf("greet node %s: %w", id, err)
	}
	var response cpb.GreetingAnswer
	if err := readFrame(conn, &response); err != nil {
		return fmt.Errorf("greet node %s: %w", id, err)
	}
	if response.Refusal != "" {
		return fmt.Errorf("node %s refused: %s", id, response.Refusal)
	}
	return nil
}

// accept reads and checks a greeting, and responds to it.
func (g greeter) accept(conn net.Conn) error {
	var greeting cpb.Greeting
	if err := readFrame(conn, &greeting); err != nil {
		return fmt.Errorf("read a greeting: %w", err)
	}
	response := &cpb.GreetingAnswer{}
	err := g.check(&greeting)
	if err != nil {
		response.Refusal = err.Error()
	}
	return errors.Join(err, writeFrame(conn, response))
}

func (g greeter) check(greeting *cpb.Greeting) error {
	id, self := g.members.id, g.members.identity.get()
	switch {
	case greeting.To != id:
		return fmt.Errorf("node %s calls node %s, but this is node %s", greeting.From, greeting.To, id)
	case greeting.ClusterId == "":
		return fmt.Errorf("node %s belongs to no cluster yet", greeting.From)
	case self.Stage == stageFresh || self.Stage == stageBootstrapper:
		return fmt.Errorf("node %s was not admitted to a cluster yet", id)
	case self.Cluster != greeting.ClusterId:
		return fmt.Errorf("node %s belongs to cluster %s, and node %s to cluster %s: to let one join the other, remove its data directory",
			id, self.Cluster, greeting.From, greeting.ClusterId)
	case self.Stage == stageCandidate:
		// The bootstrapper has created the cluster: nobody else sends Raft messages for it.
		return g.members.becomeMember(greeting.ClusterId)
	}
	return nil
}

func writeFrame(w io.Writer, m proto.Message) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode a greeting: %w", err)
	}
	if len(data) > maxGreeting {
		return fmt.Errorf("greeting too long: %d bytes", len(data))
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
		return fmt.Errorf("greeting too long: %d bytes", size)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	return proto.Unmarshal(data, m)
}
