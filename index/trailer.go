package index

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"
)

// A sealed file ends with a trailer of 32 bytes, so that it can be proved whole before
// bbolt maps it; bbolt follows the pointers of a damaged page to a panic or a fault.
// bbolt itself never reads behind its last page.
//
//	magic  8 bytes
//	format version, 8 bytes, little endian
//	length of what comes before the trailer, 8 bytes
//	xxhash64 of all of the above, 8 bytes
const trailerBytes = 32

const trailerMagic = "fscanseg"

// copyBytes is the size of the buffers that files are hashed with.
const copyBytes = 128 << 10

// trailerVersion is the version of the file as a bbolt file with a trailer, whatever its content.
const trailerVersion = 1

// appendTrailer truncates f to its first size bytes and appends the trailer.
func appendTrailer(f *os.File, size int64) error {
	if err := f.Truncate(size); err != nil {
		return err
	}
	h := xxhash.New()
	if _, err := io.CopyBuffer(onlyWriter{h}, io.NewSectionReader(f, 0, size), make([]byte, copyBytes)); err != nil {
		return err
	}
	t := append(make([]byte, 0, trailerBytes), trailerMagic...)
	t = binary.LittleEndian.AppendUint64(t, trailerVersion)
	t = binary.LittleEndian.AppendUint64(t, uint64(size))
	_, _ = h.Write(t)
	t = binary.LittleEndian.AppendUint64(t, h.Sum64())
	_, err := f.WriteAt(t, size)
	return err
}

// checkTrailer reads all of f, which has fileSize bytes, and returns an error that marks
// damage when it is not as it was sealed.
func checkTrailer(f *os.File, fileSize int64) error {
	size := fileSize - trailerBytes
	if size <= 0 {
		return corruptf("the file has %d bytes, it is torn", fileSize)
	}
	var t [trailerBytes]byte
	if _, err := f.ReadAt(t[:], size); err != nil {
		return err
	}
	if string(t[:8]) != trailerMagic || binary.LittleEndian.Uint64(t[16:]) != uint64(size) {
		return corruptf("the trailer is missing, the file is torn")
	}
	h := xxhash.New()
	n, err := io.CopyBuffer(onlyWriter{h}, io.NewSectionReader(f, 0, fileSize-checksumBytes), make([]byte, copyBytes))
	if err != nil {
		return err
	}
	if n != fileSize-checksumBytes || h.Sum64() != binary.LittleEndian.Uint64(t[24:]) {
		return corruptf("wrong checksum of the file")
	}
	if v := binary.LittleEndian.Uint64(t[8:]); v != trailerVersion {
		return corruptf("format version %d, this program reads version %d", v, trailerVersion)
	}
	return nil
}

// onlyWriter hides the other methods of a writer, so that io.CopyBuffer uses its buffer.
type onlyWriter struct{ io.Writer }

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
