package socketio

import "container/list"

// waiting holds the sessions that have not authenticated, the oldest first: those of each
// address, and all. A new session takes the place of the oldest when there is no room, so
// that strangers who open sessions and leave them can keep nobody out.
type waiting struct {
	all       *list.List
	byAddress map[string]*list.List
	places    map[*session]place
}

// place is where a session is in the lists of all sessions and of its address.
type place struct{ all, own *list.Element }

func newWaiting() *waiting {
	return &waiting{list.New(), map[string]*list.List{}, map[*session]place{}}
}

// add adds a session. It returns the session that must end for it, or nil.
func (w *waiting) add(s *session) (oldest *session) {
	own := w.byAddress[s.opened.Address]
	switch {
	case own != nil && own.Len() >= maxPerAddress:
		oldest = own.Front().Value.(*session)
	case w.all.Len() >= maxUnauthenticated:
		oldest = w.all.Front().Value.(*session)
	}
	if oldest != nil {
		w.remove(oldest)
	}
	if own = w.byAddress[s.opened.Address]; own == nil { // also when remove has removed it
		own = list.New()
		w.byAddress[s.opened.Address] = own
	}
	w.places[s] = place{w.all.PushBack(s), own.PushBack(s)}
	return oldest
}

// remove removes a session, once.
func (w *waiting) remove(s *session) {
	p, ok := w.places[s]
	if !ok {
		return
	}
	delete(w.places, s)
	w.all.Remove(p.all)
	own := w.byAddress[s.opened.Address]
	if own.Remove(p.own); own.Len() == 0 {
		delete(w.byAddress, s.opened.Address)
	}
}
