package node

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firescan/cluster"
	"firescan/provider/providertest/ports"
)

// TestSecretFiles decides which secrets a node uses, by the file in its data directory and
// the configured one.
func TestSecretFiles(t *testing.T) {
	secret := func(b byte) []byte { return bytes.Repeat([]byte{b}, secretBytes) }
	a, b, c := secret('a'), secret('b'), secret('c')
	line := func(b []byte) string { return base64.StdEncoding.EncodeToString(b) + "\n" }
	for what, tc := range map[string]struct {
		stored, given string
		want          [][]byte
		wrong         string
	}{
		"no rotation":                     {"", line(a), [][]byte{a}, ""},
		"own":                             {line(a), "", [][]byte{a}, ""},
		"configured file before the step": {line(a) + "next " + line(b), line(a), [][]byte{a, b}, ""},
		"configured file in the middle":   {line(b) + "previous " + line(a), line(a), [][]byte{b, a}, ""},
		"outdated configured file":        {line(b) + "retired " + digest(a) + "\n", line(a), [][]byte{b}, ""},
		"replaced configured file":        {line(b) + "retired " + digest(a) + "\n", line(b), [][]byte{b}, ""},
		"new secret of the operator":      {line(a), line(c), [][]byte{c}, ""},
		"both, after a missed rotation":   {line(a), line(b) + line(a), [][]byte{b, a}, ""},
		"both in the own file":            {line(b) + line(a), "", [][]byte{b, a}, ""},
		"too many":                        {"", line(a) + line(b) + line(c), nil, "too many"},
		"unknown word":                    {"", line(a) + "hex " + line(b), nil, "too many"},
		"empty":                           {"", "\n", nil, "base64"},
	} {
		d := &dataDir{path: t.TempDir()}
		file := ""
		if tc.given != "" {
			file = filepath.Join(t.TempDir(), "given")
			if err := writeFile(file, []byte(tc.given)); err != nil {
				t.Fatal(err)
			}
		}
		if tc.stored != "" {
			if err := writeFile(d.join(secretFile), []byte(tc.stored)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := clusterSecrets(d, file, true, discard())
		if tc.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tc.wrong) {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if err != nil || !slices.EqualFunc(got.accepted(), tc.want, bytes.Equal) {
			t.Errorf("%s: %q, %v", what, got.accepted(), err)
		}
		if err := writeFile(d.join("again"), got.text()); err != nil {
			t.Fatal(err)
		}
		if again, err := readSecrets(d.join("again")); err != nil || !bytes.Equal(again.text(), got.text()) {
			t.Errorf("%s: written and read: %q, %v", what, again.text(), err)
		}
	}
}

// rotating is a cluster whose secret is rotated.
type rotating struct {
	nodes   []*running
	configs []Config
}

func newRotating(t *testing.T, size int) *rotating {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := writeFile(secret, []byte(base64.StdEncoding.EncodeToString(newSecret()))); err != nil {
		t.Fatal(err)
	}
	c := &rotating{nodes: make([]*running, size)}
	gossip := ports.Address(t)
	for i := range size {
		config := testConfig(t)
		config.NodeID, config.BootstrapExpect, config.SecretFile, config.Join = fmt.Sprint("n", i+1), size, secret, []string{gossip}
		if i == 0 {
			config.GossipAddr = gossip
		}
		c.configs = append(c.configs, config)
	}
	var all sync.WaitGroup
	for i := range c.nodes {
		all.Go(func() { c.nodes[i] = run(t, c.configs[i]) })
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return c
}

// leader returns the rotation of the leader, and a follower.
func (c *rotating) leader(t *testing.T) (leader *secretRotation, follower int) {
	t.Helper()
	for ; ; time.Sleep(5 * time.Millisecond) {
		for i, n := range c.nodes {
			if n.cluster.Term() != 0 {
				return &secretRotation{cluster: n.cluster, keeper: n.secrets, keys: n.keys, self: n.id, log: discard()}, (i + 1) % len(c.nodes)
			}
		}
	}
}

// until does something on the leader until it succeeds: on a busy machine the leader may
// change.
func (c *rotating) until(t *testing.T, what string, do func(leader *secretRotation, follower int) error) (follower int) {
	t.Helper()
	for {
		leader, follower := c.leader(t)
		err := do(leader, follower)
		if err == nil {
			return follower
		}
		if t.Context().Err() != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %v", what, err)
		time.Sleep(10 * time.Millisecond)
	}
}

// restart restarts a node, which is ready after it.
func (c *rotating) restart(t *testing.T, i int) {
	t.Helper()
	c.nodes[i].end(t)
	c.nodes[i] = run(t, c.configs[i])
}

// TestRotateSecret restarts a node in each step of a rotation, and completes one that its
// leader has left in the middle.
func TestRotateSecret(t *testing.T) {
	c := newRotating(t, 3)
	c.nodes[0].seal(t, "d1")
	first := c.nodes[0].secrets.secrets.Current
	accept := secrets{Current: first, Next: newSecret()}
	use := secrets{Current: accept.Next, Previous: first}
	for _, step := range []secrets{accept, use} {
		c.restart(t, c.until(t, "step", func(leader *secretRotation, _ int) error {
			return leader.order(t.Context(), leader.cluster.Term(), step)
		}))
	}
	leader, _ := c.leader(t)
	// Too early: the keyset is still encrypted with the first secret.
	if _, err := leader.keeper.obey(secretsOrder{leader.cluster.Term(), &secrets{Current: use.Current}}); err == nil {
		t.Error("the first secret was dropped, and with it the keyset")
	}
	if _, err := leader.keeper.obey(secretsOrder{Term: 0}); err == nil {
		t.Error("an order of an earlier leader was followed")
	}
	follower := c.until(t, "rotate", func(_ *secretRotation, follower int) error {
		n := c.nodes[follower]
		through := &secretRotation{cluster: n.cluster, keeper: n.secrets, keys: n.keys, self: n.id, log: discard()}
		rotated, err := through.RotateSecret(t.Context())
		if err == nil && rotated != len(c.nodes) {
			t.Errorf("rotated on %d nodes", rotated)
		}
		return err
	})
	c.restart(t, follower)
	for _, n := range c.nodes {
		s, err := readSecrets(n.dir.join(secretFile))
		if err != nil || len(s.accepted()) != 1 || s.has(first) || s.has(use.Current) || !s.knows(first) || !s.knows(use.Current) {
			t.Errorf("%s has %d secrets, %v", n.id, len(s.accepted()), err)
		}
		if err := n.cluster.Barrier(t.Context()); err != nil {
			t.Errorf("barrier on %s: %v", n.id, err)
		}
		n.opens(t, "d1")
	}

	// A node that was away has the first secret only, and learns what to do.
	logged := filepath.Join(t.TempDir(), "log")
	out, err := os.Create(logged)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	config := testConfig(t)
	config.NodeID, config.SecretFile, config.Join = "n9", c.configs[0].SecretFile, []string{c.configs[0].GossipAddr}
	config.Logger = slog.New(slog.NewTextHandler(out, nil))
	away, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	for text := ""; !strings.Contains(text, "if the secret was rotated"); time.Sleep(10 * time.Millisecond) {
		raw, err := os.ReadFile(logged)
		if err != nil {
			t.Fatal(err)
		}
		text = string(raw)
	}
}

// TestRotateAlone rotates the secret of a node without others, twice.
// TestRotateSecretAtOnce rotates several times at once: the nodes have one secret in common
// after it.
func TestRotateSecretAtOnce(t *testing.T) {
	c := newRotating(t, 3)
	c.nodes[0].seal(t, "d1")
	c.until(t, "rotate", func(leader *secretRotation, _ int) error {
		errs := make([]error, 4)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { _, errs[i] = leader.RotateSecret(t.Context()) })
		}
		all.Wait()
		for _, err := range errs {
			if err != nil && !errors.Is(err, cluster.ErrRefused) && !errors.Is(err, cluster.ErrNoLeader) {
				t.Errorf("a rotation beside another: %v", err)
			}
		}
		if slices.Contains(errs, nil) {
			return nil
		}
		return errors.Join(errs...)
	})
	want := c.nodes[0].secrets.secrets
	for _, n := range c.nodes {
		s, err := readSecrets(n.dir.join(secretFile))
		if err != nil || len(s.accepted()) != 1 || !s.has(want.Current) {
			t.Errorf("%s has %d secrets, the one of the first node among them: %v, %v", n.id, len(s.accepted()), s.has(want.Current), err)
		}
		n.opens(t, "d1")
	}
}

func TestRotateAlone(t *testing.T) {
	config := testConfig(t)
	config.ClusterAddr, config.GossipAddr = "", ""
	c := &rotating{nodes: []*running{run(t, config)}, configs: []Config{config}}
	c.nodes[0].seal(t, "d1")
	for range 2 {
		leader, _ := c.leader(t)
		if n, err := leader.RotateSecret(t.Context()); n != 1 || err != nil {
			t.Fatalf("rotated on %d nodes, %v", n, err)
		}
		c.restart(t, 0)
		c.nodes[0].opens(t, "d1")
	}
	if s, err := readSecrets(c.nodes[0].dir.join(secretFile)); err != nil || len(s.Retired) != 2 {
		t.Errorf("%d secrets are retired, %v", len(s.Retired), err)
	}
}
