package provider_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firescan/provider"
)

// server throttles calls beyond a rate, counted in slots of 100 ms.
type server struct {
	mu      sync.Mutex
	perSlot int
	slot    time.Time
	inSlot  int
	ok, no  int
}

func (s *server) call(ctx context.Context) error {
	time.Sleep(20 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now().Truncate(100 * time.Millisecond); now.After(s.slot) {
		s.slot, s.inSlot = now, 0
	}
	if s.inSlot++; s.inSlot > s.perSlot {
		s.no++
		return fails(provider.Throttled)
	}
	s.ok++
	return ctx.Err()
}

// hammer calls b from n streams for a while.
func hammer(t *testing.T, b provider.Bucket, n int, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				_ = list(ctx, b)
			}
		})
	}
	wg.Wait()
}

func TestLimitStandsInNobodysWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		l := provider.NewLimiter(0)
		b := provider.Limit(scripted(func(context.Context) error { calls++; return nil }), l)
		began := time.Now()
		for range 100_000 {
			_ = list(t.Context(), b)
		}
		if time.Since(began) != 0 || l.Rate() != 0 || calls != 100_000 {
			t.Errorf("waited %v, rate %v, %d calls", time.Since(began), l.Rate(), calls)
		}
	})
}

func TestLimitKeepsItsCeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		l := provider.NewLimiter(150)
		b := provider.Limit(scripted(func(context.Context) error { calls++; return nil }), l)
		began := time.Now()
		for range 1500 {
			_ = list(t.Context(), b)
		}
		rate := 1500 / time.Since(began).Seconds()
		if rate < 145 || rate > 155 {
			t.Errorf("%.1f calls a second, want about 150", rate)
		}
		l.SetCeiling(50)
		began = time.Now()
		for range 500 {
			_ = list(t.Context(), b)
		}
		if rate := 500 / time.Since(began).Seconds(); rate < 48 || rate > 53 {
			t.Errorf("%.1f calls a second under a lower ceiling, want about 50", rate)
		}
	})
}

func TestLimitFindsTheProvidersRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{perSlot: 30} // 300 a second; 64 streams could do 3,200
		l := provider.NewLimiter(0)
		b := provider.Limit(scripted(s.call), l)
		hammer(t, b, 64, 5*time.Second) // settle
		s.ok, s.no = 0, 0
		hammer(t, b, 64, 60*time.Second)
		if good, bad := float64(s.ok)/60, float64(s.no)/60; good < 200 || bad > 0.1*good {
			t.Errorf("%.0f calls a second succeed and %.0f are throttled, at a provider that takes 300; rate %.0f", good, bad, l.Rate())
		}
		s.perSlot = 1000 // and it recovers when the provider does
		hammer(t, b, 64, 300*time.Second)
		s.ok = 0
		hammer(t, b, 64, 10*time.Second)
		if good := float64(s.ok) / 10; good < 2500 {
			t.Errorf("%.0f calls a second, at a provider that takes 10,000 again; rate %.0f", good, l.Rate())
		}
	})
}

func TestLimitWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := provider.NewLimiter(0.1)
		b := provider.Limit(scripted(func(context.Context) error { return nil }), l)
		_ = list(t.Context(), b)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := list(ctx, b); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestLimitersShare(t *testing.T) {
	var ls provider.Limiters
	if a, b := ls.For("x", 5), ls.For("x", 7); a != b || a.Rate() != 5 {
		t.Error("two limiters for one bucket")
	}
	x, y := ls.For("x", 5), ls.For("y", 5)
	if x == y {
		t.Error("one limiter for two buckets")
	}
	ls.Retain(map[string]bool{"x": true})
	if ls.For("x", 5) != x || ls.For("y", 5) == y {
		t.Error("not only the limiter of the one bucket is kept")
	}
}

func BenchmarkLimit(b *testing.B) {
	bucket := provider.Limit(scripted(func(context.Context) error { return nil }), provider.NewLimiter(0))
	b.RunParallel(func(pb *testing.PB) {
		var page provider.Page
		for pb.Next() {
			_ = bucket.List(b.Context(), provider.ListRequest{}, &page)
		}
	})
}
