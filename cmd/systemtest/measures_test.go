package systemtest

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// times collects durations.
type times struct {
	mu  sync.Mutex
	all []time.Duration
}

func (m *times) add(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, d)
}

// String returns count, median and maximum.
func (m *times) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.all) == 0 {
		return "never"
	}
	sorted := slices.Sorted(slices.Values(m.all))
	return fmt.Sprintf("%d times, median %v, max %v", len(sorted),
		sorted[len(sorted)/2].Round(time.Millisecond), sorted[len(sorted)-1].Round(time.Millisecond))
}

// shares collects fractions.
type shares struct{ all []float64 }

func (m *shares) add(s float64) { m.all = append(m.all, s) }

func (m *shares) max() float64 {
	if len(m.all) == 0 {
		return 0
	}
	return slices.Max(m.all)
}

// String returns count, median and maximum.
func (m *shares) String() string {
	if len(m.all) == 0 {
		return "none"
	}
	sorted := slices.Sorted(slices.Values(m.all))
	return fmt.Sprintf("%d times, median %.2f %%, max %.2f %%", len(sorted), 100*sorted[len(sorted)/2], 100*sorted[len(sorted)-1])
}
