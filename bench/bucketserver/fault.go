package bucketserver

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// Fault is something that a server does wrong with one list request.
type Fault uint8

// The faults. Those from Truncated on answer 200.
const (
	// None answers as it should.
	None Fault = iota
	// SlowDown answers 503 SlowDown.
	SlowDown
	// ServerError answers 500 InternalError.
	ServerError
	// Reset sends half of the answer and resets the connection.
	Reset
	// Stall answers nothing until the client goes away.
	Stall
	// Truncated sends half of the body with a Content-Length that says that is all.
	Truncated
	// Empty sends 200 with no body.
	Empty
	// NoToken says IsTruncated without a token to go on with.
	NoToken
	// Repeated answers the first page of the prefix whatever page was asked for.
	Repeated
	// Unsorted swaps the first and the last key of the page.
	Unsorted
	numFaults
)

var faultNames = [numFaults]string{
	"none", "slow-down", "server-error", "reset", "stall", "truncated", "empty", "no-token", "repeated", "unsorted",
}

// String is the fault's name in flags and counters.
func (f Fault) String() string { return faultNames[f] }

// ParseFault finds a fault by its name.
func ParseFault(name string) (Fault, bool) {
	i := slices.Index(faultNames[:], name)
	return Fault(max(i, 0)), i >= 0
}

// ListRequest is one list request, for a FaultFunc to judge.
type ListRequest struct {
	// N counts the list requests of the server from 0.
	N      uint64
	Prefix string
	// From is the first key that may be answered.
	From string
	// MaxKeys is what the client asked for.
	MaxKeys int
}

// FaultFunc decides what goes wrong with a request. It is called from several
// goroutines.
type FaultFunc func(ListRequest) Fault

// Chance makes faults at random, each with its probability, the same ones in the
// same order for the same seed.
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
