package bucketserver

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// A Fault is a wrong response to a list request.
type Fault uint8

// The faults. Those from Truncated on have status 200.
const (
	// None is a correct response.
	None Fault = iota
	// SlowDown returns 503 SlowDown.
	SlowDown
	// ServerError returns 500 InternalError.
	ServerError
	// Reset sends half of the response and resets the connection.
	Reset
	// Stall sends nothing until the client disconnects.
	Stall
	// Truncated sends half of the body with a matching Content-Length.
	Truncated
	// Empty sends 200 with no body.
	Empty
	// NoToken returns IsTruncated without a continuation token.
	NoToken
	// Repeated returns the first page of the prefix for every page.
	Repeated
	// Unsorted swaps the first and the last key of the page.
	Unsorted
	numFaults
)

var faultNames = [numFaults]string{
	"none", "slow-down", "server-error", "reset", "stall", "truncated", "empty", "no-token", "repeated", "unsorted",
}

// String returns the name of the fault in flags.
func (f Fault) String() string { return faultNames[f] }

// ParseFault returns the fault with the given name.
func ParseFault(name string) (Fault, bool) {
	i := slices.Index(faultNames[:], name)
	return Fault(max(i, 0)), i >= 0
}

// ListRequest is a list request as a FaultFunc sees it.
type ListRequest struct {
	// N is the number of the list request, from 0.
	N      uint64
	Prefix string
	// From is the lower bound of the returned keys.
	From string
	// MaxKeys is the page size that the client requested.
	MaxKeys int
}

// FaultFunc returns the fault of a request. It must be safe for concurrent use.
type FaultFunc func(ListRequest) Fault

// Chance returns random faults with the given probabilities. The same seed gives the same
// sequence.
func Chance(seed uint64, share map[Fault]float64) FaultFunc {
	type part struct {
		fault Fault
		upTo  float64
	}
	var (
		parts []part
		sum   float64
	)
	for f := range numFaults {
		if p := share[f]; p > 0 && f != None {
			sum += p
			parts = append(parts, part{f, sum})
		}
	}
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 0))
	return func(ListRequest) Fault {
		mu.Lock()
		x := rnd.Float64()
		mu.Unlock()
		for _, p := range parts {
			if x < p.upTo {
				return p.fault
			}
		}
		return None
	}
}
