package node

import "slices"

// outbox is what a peer is still to be told, oldest first. The relay's lock guards it.
type outbox struct {
	letters []letter
	filled  chan struct{} // has one place
	served  bool
}

// letter is an encoded event. One of a key takes the place of an earlier one.
type letter struct {
	key   string
	last  bool
	event []byte
}

// put adds a letter. When the peer is too far behind, what it can best do without is missed:
// anything but the last of a key.
func (o *outbox) put(l letter) {
	at := slices.IndexFunc(o.letters, func(w letter) bool { return l.key != "" && w.key == l.key && !w.last })
	switch {
	case at >= 0:
		o.letters[at] = l
		return
	case len(o.letters) >= relayQueue:
		old := max(0, slices.IndexFunc(o.letters, func(w letter) bool { return !w.last }))
		o.letters = slices.Delete(o.letters, old, old+1)
	}
	o.letters = append(o.letters, l)
	notify(o.filled)
}

// take takes the oldest letter.
func (o *outbox) take() (l letter, ok bool) {
	if len(o.letters) == 0 {
		return l, false
	}
	l = o.letters[0]
	o.letters = slices.Delete(o.letters, 0, 1)
	return l, true
}
