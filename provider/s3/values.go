package s3

import (
	"errors"
	"time"

	"firescan/provider"
)

var (
	errEscape = errors.New("a key is not encoded as it says")
	errNumber = errors.New("a size or count is no number")
	errTime   = errors.New("a modification time is not understood")
)

// unquote undoes encoding-type=url in place: '+' is a blank, %XX a byte.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
func unquote(key []byte) ([]byte, error) {
	out := key[:0]
	for i := 0; i < len(key); i++ {
		c := key[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(key) {
				return nil, errEscape
			}
			high, low := nibble[key[i+1]], nibble[key[i+2]]
			if high|low > 0xf {
				return nil, errEscape
			}
			c = high<<4 | low
			i += 2
		}
		out = append(out, c)
	}
	return out, nil
}

// nibble is the value of a hexadecimal digit, or 0xff.
var nibble = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= '0' && c <= '9':
			t[c] = uint8(c - '0')
		case c >= 'a' && c <= 'f':
			t[c] = uint8(c - 'a' + 10)
		case c >= 'A' && c <= 'F':
			t[c] = uint8(c - 'A' + 10)
		default:
			t[c] = 0xff
		}
	}
	return t
}()

// number reads a count in decimal.
func number(text []byte) (int64, error) {
	if n, ok := provider.Decimal(text); ok {
		return n, nil
	}
	return 0, errNumber
}

// modTime reads an RFC 3339 time as Unix milliseconds. The form that S3 writes,
// 2006-01-02T15:04:05.000Z with or without the fraction, has a short way.
func modTime(text []byte) (int64, error) {
	if ms, ok := zulu(text); ok {
		return ms, nil
	}
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return 0, errTime
	}
	return t.UnixMilli(), nil
}

func zulu(t []byte) (int64, bool) {
	if len(t) != 20 && len(t) != 24 || t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':' || t[len(t)-1] != 'Z' {
		return 0, false
	}
	var bad uint8
	digits := func(at int) int64 {
		high, low := t[at]-'0', t[at+1]-'0'
		if high > 9 || low > 9 {
			bad = 1
		}
		return int64(high)*10 + int64(low)
	}
	year, month, day := digits(0)*100+digits(2), digits(5), digits(8)
	hour, minute, second := digits(11), digits(14), digits(17)
	var ms int64
	if len(t) == 24 {
		last := t[22] - '0'
		if t[19] != '.' || last > 9 {
			return 0, false
		}
		ms = digits(20)*10 + int64(last)
	}
	// The 29th of February is left to the long way.
	if bad != 0 || month < 1 || month > 12 || day < 1 || day > monthDays[month-1] || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	return ((days(year, month, day)*24+hour)*60+minute)*60_000 + second*1000 + ms, true
}

var monthDays = [12]int64{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// days counts the days from 1970-01-01 in the Gregorian calendar. Years begin in March
// here, so that the leap day is the last.
func days(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719_468
}
