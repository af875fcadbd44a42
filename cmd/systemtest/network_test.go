package systemtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// A network is a bridge with a network namespace at each port. The test and the bucket
// are on the bridge, and reach every node whatever is partitioned.
type network struct {
	name, base string
	hosts      []string
	spaces     []string
}

// ip runs ip(8).
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput() //nolint:noctx // returns at once
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// newNetwork creates a network, or skips the test if it has no permission to.
func newNetwork(t testing.TB) *network {
	t.Helper()
	w := &network{name: "fs" + strconv.Itoa(rand.IntN(1<<16)), base: fmt.Sprintf("10.231.%d.", rand.IntN(256))}
	t.Cleanup(w.close)
	if err := errors.Join(
		ip("link", "add", w.name, "type", "bridge"),
		ip("addr", "add", w.base+"254/24", "dev", w.name),
		ip("link", "set", w.name, "up"),
	); err != nil {
		t.Skipf("cannot create network namespaces and bridges (needs Linux, root and iproute2): %v", err)
	}
	return w
}

func (w *network) close() {
	for _, space := range w.spaces {
		_ = ip("netns", "del", space)
	}
	_ = ip("link", "del", w.name)
}

// join creates a namespace with a new address.
func (w *network) join(t testing.TB, id string) (host, space string) {
	t.Helper()
	n := len(w.hosts) + 1
	host, space = w.base+strconv.Itoa(n), w.name+id
	outer := space + "v"
	w.hosts, w.spaces = append(w.hosts, host), append(w.spaces, space)
	if err := errors.Join(
		ip("netns", "add", space),
		ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space),
		ip("link", "set", outer, "master", w.name),
		ip("link", "set", outer, "up"),
		ip("-n", space, "addr", "add", host+"/24", "dev", "eth0"),
		ip("-n", space, "link", "set", "eth0", "up"),
		ip("-n", space, "link", "set", "lo", "up"),
	); err != nil {
		t.Skipf("cannot create a network namespace: %v", err)
	}
	return host, space
}

// nowhere is a hardware address that no interface has: frames to it are dropped silently.
const nowhere = "02:00:00:00:00:99"

// mute drops everything that one node sends to another, in this direction only.
func (w *network) mute(t testing.TB, from, to *node) {
	t.Helper()
	if err := ip("-n", from.namespace, "neigh", "replace", to.host, "lladdr", nowhere, "dev", "eth0", "nud", "permanent"); err != nil {
		t.Fatal(err)
	}
}

// cut partitions a node from others, in both directions.
func (w *network) cut(t testing.TB, n *node, others ...*node) {
	t.Helper()
	for _, other := range others {
		w.mute(t, n, other)
		w.mute(t, other, n)
	}
}

// heal removes all partitions.
func (w *network) heal(t testing.TB) {
	t.Helper()
	for _, space := range w.spaces {
		for _, host := range w.hosts {
			_ = ip("-n", space, "neigh", "del", host, "dev", "eth0") // fails for hosts that were not cut
		}
	}
}

// canNetwork reports whether this process has permission to create networks.
func canNetwork() bool {
	name := "fsprobe" + strconv.Itoa(rand.IntN(1<<16))
	defer func() { _ = ip("netns", "del", name) }()
	defer func() { _ = ip("link", "del", name) }()
	return errors.Join(ip("netns", "add", name), ip("link", "add", name, "type", "bridge")) == nil
}
