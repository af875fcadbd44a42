package api

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
)

// invalidCursor is the problem of a cursor that is not from a response of the same list.
const invalidCursor = "must be a cursor from a previous response"

// checksumSize is the size of the checksum in a cursor.
const checksumSize = 4

// encodeCursor returns the cursor of a list, named by its route, that goes on after a
// position. A checksum in it shows a cursor that is cut, made up or of another list.
func encodeCursor(list string, position []byte) string {
	sum := binary.BigEndian.AppendUint32(nil, cursorChecksum(list, position))
	return base64.RawURLEncoding.EncodeToString(append(sum, position...))
}

func cursorChecksum(list string, position []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE([]byte(list)), crc32.IEEETable, position)
}

// cursor returns the position of the parameter cursor, nil without one.
func (q *query) cursor() []byte {
	given := q.str("cursor")
	if given == "" {
		return nil
	}
	data, err := base64.RawURLEncoding.DecodeString(given)
	if err != nil || len(data) <= checksumSize ||
		binary.BigEndian.Uint32(data) != cursorChecksum(q.call.route.path, data[checksumSize:]) {
		q.wrong["cursor"] = invalidCursor
		return nil
	}
	return data[checksumSize:]
}

// cursorAfter returns the cursor of the request's list that goes on after a position.
func (c *call) cursorAfter(position []byte) string { return encodeCursor(c.route.path, position) }
