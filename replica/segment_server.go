package replica

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"firescan/index"
)

const (
	segmentPattern = "GET /segments/{destination}/{segment}"
	heldPattern    = "POST /segments/{destination}"
	// maxHeld bounds the size of a request for held segments, and of its response.
	maxHeld = heldAtOnce * 160
)

// Register registers the handlers for other nodes.
func (p *HTTPPeers) Register(handle func(pattern string, h http.Handler)) {
	handle(segmentPattern, http.HandlerFunc(p.serveSegment))
	handle(heldPattern, http.HandlerFunc(p.serveHeld))
}

// serveSegment sends a sealed segment, or a part of it.
func (p *HTTPPeers) serveSegment(w http.ResponseWriter, r *http.Request) {
	f, tag, err := p.config.Index.OpenSealed(r.PathValue("destination"), r.PathValue("segment"))
	if err != nil {
		_, damaged := errors.AsType[*index.CorruptError](err)
		if damaged || errors.Is(err, index.ErrNoSegment) {
			http.Error(w, "this node does not have the segment", http.StatusNotFound)
			return
		}
		// Not 404: the other node must not take the segment for lost.
		http.Error(w, "the segment cannot be read", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	w.Header().Set("ETag", `"`+tag+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, f)
}

// serveHeld sends, for each segment of a list, whether this node has it.
func (p *HTTPPeers) serveHeld(w http.ResponseWriter, r *http.Request) {
	var ids []string
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxHeld)).Decode(&ids); err != nil {
		http.Error(w, "the request is not a list of segments", http.StatusBadRequest)
		return
	}
	held := make([]bool, len(ids))
	for i, id := range ids {
		held[i] = p.config.Index.Has(r.PathValue("destination"), id)
	}
	_ = json.NewEncoder(w).Encode(held) // fails only when the other node has gone
}
