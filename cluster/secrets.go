package cluster

import (
	"bytes"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"

	"firescan/cluster/transport"
)

// untrustedTime is how long connections stay whose certificate is no longer trusted.
const untrustedTime = 2 * time.Second

// UseSecrets makes the first of these secrets the one that gossip is encrypted and
// certificates are issued with. The others are accepted. Nodes that have the first secret of
// one another among theirs can communicate. Connections to nodes whose certificate is no
// longer trusted are closed soon.
func (c *Cluster) UseSecrets(secrets [][]byte) error {
	if c.transport == nil {
		return nil
	}
	if issuer, ok := c.credentials.(*transport.Issuer); ok {
		if err := issuer.Use(secrets); err != nil {
			return err
		}
		c.transport.Renew()
		// Requests may end, and so may the one that this is a part of.
		c.work.Go(func() {
			select {
			case <-time.After(untrustedTime):
				c.transport.CloseUntrusted()
			case <-c.ctx.Done():
			}
		})
	}
	return useGossipKeys(c.gossip.keys, secrets)
}

// useGossipKeys makes a keyring that of these secrets.
func useGossipKeys(ring *memberlist.Keyring, secrets [][]byte) error {
	keys := make([][]byte, len(secrets))
	for i, secret := range secrets {
		var err error
		if keys[i], err = transport.GossipKey(secret); err != nil {
			return err
		}
		if err := ring.AddKey(keys[i]); err != nil {
			return err
		}
	}
	if err := ring.UseKey(keys[0]); err != nil {
		return err
	}
	// From the end, since memberlist removes others in a slice that it is reading.
	for _, key := range slices.Backward(ring.GetKeys()) {
		if !slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
			if err := ring.RemoveKey(key); err != nil {
				return err
			}
		}
	}
	return nil
}
