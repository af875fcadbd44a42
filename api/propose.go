package api

import (
	"crypto/sha256"
	"encoding/hex"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// Command is a message that changes the catalog.
type Command = proto.Message

// propose changes the catalog.
func (c *call) propose(command Command) (*pb.Result, error) {
	if err := c.inTime(); err != nil {
		return nil, err
	}
	return c.backend.consensus.Propose(c.context(), command)
}

// proposeOnce proposes a command that creates something. A retry of the request does
// not create it again: it gets the result of the first. part distinguishes the commands
// of a request that proposes several.
func (c *call) proposeOnce(command Command, part string) (*pb.Result, error) {
	if c.once == nil {
		return c.propose(command)
	}
	if err := c.inTime(); err != nil {
		return nil, err
	}
	key := c.once.key
	if part != "" {
		// Keys of clients have no spaces.
		sum := sha256.Sum256([]byte(key))
		key = hex.EncodeToString(sum[:]) + " " + part
	}
	return c.backend.consensus.ProposeOnce(c.context(), command, &pb.Once{
		Org: c.org, Key: key, Fingerprint: c.once.fingerprint, At: c.backend.now().UnixMilli(),
	})
}
