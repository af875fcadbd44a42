package gcs

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// maxBody bounds one list answer. A thousand names of 1,024 bytes, each byte written as
// six, with all that is told of an object, stay below 8 MiB.
const maxBody = 16 << 20

// maxKept is the largest buffer that is used again: one rare page must not cost memory
// for good.
const maxKept = 2 << 20

var errTooLong = fmt.Errorf("the answer is longer than %d MiB", maxBody>>20)

// bodies are buffers for list answers; a page of 1,000 usual names needs 170 KiB.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 256<<10); return &b }}

// withBody reads an answer's body to its end and hands it to read, to which it is only
// lent.
func withBody(response *http.Response, read func([]byte) error) error {
	buffer := bodies.Get().(*[]byte)
	body, err := readAll((*buffer)[:0], response.Body, response.ContentLength)
	if err == nil {
		err = read(body)
	}
	if cap(body) <= maxKept {
		*buffer = body
		bodies.Put(buffer)
	}
	return err
}

// readAll reads body to its end into buffer, which it may replace by a larger one.
func readAll(buffer []byte, body io.Reader, length int64) ([]byte, error) {
	if length > maxBody {
		return buffer, &corrupt{errTooLong}
	}
	if need := int(length) + 1; need > cap(buffer) {
		buffer = make([]byte, 0, need)
	}
	for {
		if len(buffer) == cap(buffer) {
			if len(buffer) > maxBody {
				return buffer, &corrupt{errTooLong}
			}
			buffer = append(buffer, 0)[:len(buffer)]
		}
		n, err := body.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		switch {
		case err == io.EOF:
			return buffer, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return buffer, &corrupt{errCutShort}
		case err != nil:
			return buffer, err
		}
	}
}
