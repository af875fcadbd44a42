package api

import (
	"fmt"
	"sync"
	"testing"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestConcurrentUpdates changes the name and the region of a destination at once:
// neither change is lost.
func TestConcurrentUpdates(t *testing.T) {
	r := newRig(t, mem.Options{})
	path := "/api/v1/storage/destinations/" + r.destination()
	for round := range 50 {
		name, region := fmt.Sprint("name-", round), fmt.Sprint("region-", round)
		var both sync.WaitGroup
		for _, body := range []string{`{"name":"` + name + `"}`, `{"region":"` + region + `"}`} {
			both.Go(func() {
				if a := r.do(catalog.RoleOwner, "PUT", path, body); a.status != 200 {
					t.Errorf("PUT %s: %d %s", body, a.status, a.raw)
				}
			})
		}
		both.Wait()
		if a := r.owner("GET", path, ""); a.at("data", "name") != name || a.at("data", "region") != region {
			t.Fatalf("round %d: one of two changes was lost: %s", round, a.raw)
		}
	}
}
