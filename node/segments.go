package node

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"firescan/index"
)

const (
	// segmentPath is where a node hands a sealed segment out to others, and segmentsPath
	// where it tells which ones it has.
	segmentPath  = "/segments/{destination}/{segment}"
	segmentsPath = "/segments/{destination}"
	// maxHeld bounds, in bytes, what is asked and answered there.
	maxHeld = heldAtOnce * 160
)

// serveSegment hands a sealed segment out to another node, or a part of it.
func (r *replicas) serveSegment(w http.ResponseWriter, q *http.Request) {
	f, tag, err := r.index.OpenSealed(q.PathValue("destination"), q.PathValue("segment"))
	if err != nil {
		_, damaged := errors.AsType[*index.CorruptError](err)
		if damaged || errors.Is(err, index.ErrNoSegment) {
			http.Error(w, "no such segment here", http.StatusNotFound)
			return
		}
		// Nobody may take that for a segment which is lost.
		http.Error(w, "the segment cannot be read", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	w.Header().Set("ETag", `"`+tag+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, q, "", time.Time{}, f)
}

// serveHeld tells another node which segments are here.
func (r *replicas) serveHeld(w http.ResponseWriter, q *http.Request) {
	var ids []string
	if err := json.NewDecoder(http.MaxBytesReader(w, q.Body, maxHeld)).Decode(&ids); err != nil {
		http.Error(w, "no list of segments", http.StatusBadRequest)
		return
	}
	held := make([]bool, len(ids))
	for i, id := range ids {
		held[i] = r.index.Has(q.PathValue("destination"), id)
	}
	_ = json.NewEncoder(w).Encode(held) // that the other has gone is no failure of ours
}
