package provider_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"firescan/provider"
)

// TestLend reads bodies of sizes at and between the buffers, whole and in pieces.
func TestLend(t *testing.T) {
	bodies := provider.NewBodies(1 << 10)
	for _, size := range []int{0, 1, 1 << 10, 1<<10 + 1, 512<<10 - 1, 512 << 10, 512<<10 + 1, 3 << 20, provider.MaxPage} {
		body := bytes.Repeat([]byte("firescan"), size/8+1)[:size]
		for _, length := range []int64{-1, int64(size)} {
			for name, reader := range map[string]io.Reader{
				"whole": bytes.NewReader(body), "end with data": iotest.DataErrReader(bytes.NewReader(body)), "halves": iotest.HalfReader(bytes.NewReader(body)),
			} {
				same := false
				err := bodies.Lend(reader, length, func(b []byte) error { same = bytes.Equal(b, body); return nil })
				if err != nil || !same {
					t.Errorf("%d bytes, length %d, %s: the same: %v, error: %v", size, length, name, same, err)
				}
			}
		}
	}
	never := func([]byte) error { t.Error("a body is lent that has an error"); return nil }
	for _, length := range []int64{-1, provider.MaxPage + 1} {
		if err := bodies.Lend(bytes.NewReader(make([]byte, provider.MaxPage+1)), length, never); !errors.Is(err, provider.ErrTooLong) {
			t.Errorf("a body longer than a page, length %d: %v", length, err)
		}
	}
	for _, size := range []int{1, 1 << 20} {
		cut := io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(io.ErrUnexpectedEOF))
		if err := bodies.Lend(cut, -1, never); !errors.Is(err, provider.ErrCutShort) {
			t.Errorf("a body that is cut after %d bytes: %v", size, err)
		}
	}
}

// TestLendMemory reads bodies of hostile servers. Reading one that does not end takes one
// large buffer, and one that only claims a length, or waits for its place among the large
// ones, takes none: a process has many of them at once.
func TestLendMemory(t *testing.T) {
	bodies := provider.NewBodies(256 << 10)
	waits := errors.New("waits")
	for _, c := range []struct {
		name   string
		body   func() io.Reader
		length int64
		most   uint64 // allocated by 20 calls
	}{
		{"endless", func() io.Reader { return endlessReader{} }, -1, 300 << 20},
		{"claims a length", func() io.Reader { return iotest.ErrReader(waits) }, provider.MaxPage, 80 << 20},
		{"waits", func() io.Reader {
			return io.MultiReader(bytes.NewReader(make([]byte, 512<<10)), iotest.ErrReader(waits))
		}, -1, 80 << 20},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 20 {
			if err := bodies.Lend(c.body(), c.length, func([]byte) error { return nil }); err == nil {
				t.Errorf("%s: no error", c.name)
			}
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > c.most {
			t.Errorf("%s: 20 bodies took %d bytes, want at most %d", c.name, used, c.most)
		}
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }
