package systemtest

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

// TestRotateSecret rotates the cluster secret while clients read and write, and restarts a
// node whose configured secret file is outdated. A node that has the old secret only does
// not join.
func TestRotateSecret(t *testing.T) {
	c := newCluster(t, settings{nodes: 3})
	w := c.newWorld(t, bucketserver.Flat, 1000, bucketserver.Options{})
	w.sync(t)
	c.awaitShards(t, w, c.nodes...)
	old, err := os.ReadFile(c.secretFile)
	if err != nil {
		t.Fatal(err)
	}
	u := &traffic{world: w}
	during(t, func() {
		for i := range pick(1, 20) {
			await(t, "the secret is rotated", patience, func() bool {
				a, err := c.admin.do(t.Context(), c.nodes[i%3], request{method: http.MethodPost, path: "/api/v1/admin/secret/rotate", timeout: patience})
				return err == nil && a.ok()
			})
			time.Sleep(3 * time.Second) // until connections with the old secret are closed
			n := c.nodes[(i+1)%3]
			n.terminate(t)
			n.start(t)
			c.awaitReady(t, n)
			c.awaitVoters(t, patience, c.nodes...)
		}
	}, u.readFiles, u.readStats, u.make, u.put)
	u.verify(t)
	var rotated []byte
	for _, n := range c.nodes {
		text, err := os.ReadFile(filepath.Join(n.dir, "cluster.secret"))
		if err != nil || bytes.Contains(text, bytes.TrimSpace(old)) || rotated != nil && !bytes.Equal(text, rotated) {
			t.Errorf("%s has not the rotated secret: %v", n.id, err)
		}
		rotated = text
	}
	away := c.add(t)
	away.start(t)
	await(t, "a node with the old secret learns what to do", patience, func() bool {
		return strings.Contains(away.tail(1<<20), "if the secret was rotated")
	})
}
