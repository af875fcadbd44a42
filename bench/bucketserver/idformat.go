package bucketserver

import (
	"encoding/binary"
	"math"
	"time"
)

// idFormat formats the ids of [0, size) uniquely, so that their bytewise order is their
// numeric order.
type idFormat struct {
	size uint64
	put  func(dst []byte, id uint64) []byte
}

const base62Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var (
	hex16 = &idFormat{math.MaxUint64, appendHex16}
	// base62 has eleven significant digits and up to nine more, so that lengths vary.
	base62 = &idFormat{math.MaxUint64, appendBase62}
	// decimal13 looks like Unix milliseconds, spread over a wider range.
	decimal13 = &idFormat{9e12, func(dst []byte, id uint64) []byte { return appendDigits(dst, id+1e12, 13) }}
	stamps    = &idFormat{epochDays * msPerDay, appendStamp}
)

// The timestamps in keys and the modification times are within these three years.
const (
	epochDays = 1096
	msPerDay  = 24 * 60 * 60 * 1000
)

var epoch = time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)

// dayDashed and dayPlain are the formatted days: 2024-02-29 and 20240229.
var dayDashed, dayPlain = func() (dashed, plain [epochDays]string) {
	for d := range epochDays {
		day := epoch.AddDate(0, 0, d)
		dashed[d], plain[d] = day.Format("2006-01-02"), day.Format("20060102")
	}
	return dashed, plain
}()

var decPairs = func() (t [100][2]byte) {
	for i := range t {
		t[i] = [2]byte{'0' + byte(i/10), '0' + byte(i%10)}
	}
	return t
}()

func appendHex16(dst []byte, id uint64) []byte {
	dst = binary.BigEndian.AppendUint64(dst, hex8(uint32(id>>32)))
	return binary.BigEndian.AppendUint64(dst, hex8(uint32(id)))
}

// hex8 formats eight digits at once, the first in the highest byte. A page consists
// mostly of digits.
func hex8(x uint32) uint64 {
	v := uint64(x)
	v = (v<<16 | v) & 0x0000ffff0000ffff
	v = (v<<8 | v) & 0x00ff00ff00ff00ff
	v = (v<<4 | v) & 0x0f0f0f0f0f0f0f0f
	letters := (v + 0x0606060606060606) >> 4 & 0x0101010101010101
	return v + 0x3030303030303030 + letters*('a'-'0'-10)
}

func appendBase62(dst []byte, id uint64) []byte {
	var b [11]byte
	rest := id
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = base62Digits[rest%62]
		rest /= 62
	}
	dst = append(dst, b[:]...)
	tail := mix(id)
	for range tail % 10 {
		tail = mix(tail)
		dst = append(dst, base62Digits[tail%62])
	}
	return dst
}

func appendDigits(dst []byte, v uint64, width int) []byte {
	n := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := n + width - 1; i >= n && v > 0; i-- {
		dst[i] = '0' + byte(v%10)
		v /= 10
	}
	return dst
}

func appendStamp(dst []byte, ms uint64) []byte {
	day, rest := ms/msPerDay, ms%msPerDay
	dst = append(dst, dayPlain[day]...)
	dst = append(dst, 'T')
	dst = appendPair(dst, rest/3600000)
	dst = appendPair(dst, rest/60000%60)
	dst = appendPair(dst, rest/1000%60)
	dst = appendDigits(dst, rest%1000, 3)
	return append(dst, 'Z')
}

func appendPair(dst []byte, v uint64) []byte {
	p := decPairs[v]
	return append(dst, p[0], p[1])
}
