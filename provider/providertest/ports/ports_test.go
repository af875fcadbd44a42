package ports

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestFree claims ports in two processes, whose addresses all differ.
func TestFree(t *testing.T) {
	const child = "FIRESCAN_TEST_PORTS"
	const each = 50
	if os.Getenv(child) != "" {
		for range each {
			fmt.Println(Address(t))
		}
		return
	}
	ours := map[string]bool{}
	for range each {
		address := Address(t)
		if ours[address] {
			t.Errorf("%s was claimed twice", address)
		}
		ours[address] = true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestFree$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := strings.Fields(string(out))
	if n := strings.Count(string(out), "127.0.0.1:"); n != each {
		t.Errorf("the other process has claimed %d ports", n)
	}
	for _, address := range theirs {
		if ours[address] {
			t.Errorf("%s was claimed by two processes", address)
		}
	}
}
