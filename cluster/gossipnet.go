package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

// faults are ways in which tests disturb a node. The zero value disturbs nothing.
type faults struct {
	// dialer opens TCP connections.
	dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// lost tells whether a packet to the address is lost.
	lost func(address string) bool
	// segment is the size of the files of the log, so that old entries go soon.
	segment int
	// applying is called before commands are applied.
	applying func()
}

// gossipTransport is memberlist's own, with room for faults.
type gossipTransport struct {
	*memberlist.NetTransport
	faults faults
}

var _ memberlist.NodeAwareTransport = (*gossipTransport)(nil)

func newGossipTransport(conf *memberlist.Config, f faults) (*gossipTransport, error) {
	// With port 0, the free port that TCP is given may be taken for UDP.
	for tries := 10; ; tries-- {
		t, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{conf.BindAddr}, BindPort: conf.BindPort, Logger: conf.Logger,
		})
		if err == nil {
			return &gossipTransport{t, f}, nil
		}
		if conf.BindPort != 0 || tries == 0 {
			return nil, err
		}
	}
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *gossipTransport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if t.faults.lost != nil && t.faults.lost(a.Addr) {
		return time.Now(), nil
	}
	return t.NetTransport.WriteToAddress(b, a)
}

// WriteTo implements memberlist.Transport.
func (t *gossipTransport) WriteTo(b []byte, address string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: address})
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *gossipTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if t.faults.dialer == nil {
		return t.NetTransport.DialAddressTimeout(a, timeout)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return t.faults.dialer(ctx, "tcp", a.Addr)
}

// DialTimeout implements memberlist.Transport.
func (t *gossipTransport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: address}, timeout)
}

// cannotDecrypt is how memberlist says that a message is encrypted with another key, or
// with none.
var cannotDecrypt = []string{"No installed keys could decrypt", "decrypt", "not encrypted", "is encrypted"}

// explainGossip gives what memberlist says about keys its meaning.
func explainGossip(err error) error {
	for _, text := range cannotDecrypt {
		if strings.Contains(err.Error(), text) {
			return fmt.Errorf("%w: %w", errOtherSecret, err)
		}
	}
	return err
}

// gossipLog writes what memberlist logs to slog.
type gossipLog struct{ gossip *gossip }

func newGossipLogger(g *gossip) *log.Logger { return log.New(gossipLog{g}, "", 0) }

// Write implements io.Writer for log.Logger, which writes a line at a time.
func (l gossipLog) Write(line []byte) (int, error) {
	// What memberlist warns of is what gossip is there to bear, so that it is for those who
	// look closely; what matters is told by name.
	rest := string(bytes.TrimSpace(line))
	mark, text, marked := strings.Cut(rest, " memberlist: ")
	if marked {
		rest = text
	}
	if mark == "[ERR]" && errors.Is(explainGossip(errors.New(rest)), errOtherSecret) {
		// The address at the end tells who it is: once a minute for each is enough.
		_, from, _ := strings.Cut(rest, "from=")
		if host, _, err := net.SplitHostPort(from); err == nil {
			from = host
		}
		if l.gossip.told.now("secret " + from) {
			l.gossip.logger.Warn("gossip of another node was refused: it has another cluster secret than this one", "from", from, "error", rest)
		}
		return len(line), nil
	}
	l.gossip.logger.Log(context.Background(), slog.LevelDebug, rest, "part", "gossip")
	return len(line), nil
}
