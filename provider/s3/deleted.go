package s3

// deleted is the response to a batch of deletes.
type deleted map[string]result

// result is the part of the response for one key.
type result struct {
	code   string // of the error; empty for a key that is gone
	marker bool   // only a delete marker was made
	locked bool   // the error is about retention
}

// decodeDeleted reads a DeleteResult. The body is used as scratch space. What it does not
// fully understand is an error.
func decodeDeleted(body []byte) (deleted, error) {
	s := scanner{b: body}
	if err := s.prolog(); err != nil {
		return nil, err
	}
	if s.i >= len(s.b) {
		return nil, errEmpty
	}
	results := deleted{}
	root, closed, err := s.open()
	switch {
	case err != nil:
		return nil, err
	case string(root) == "Error" && !closed:
		return nil, s.serverError(root)
	case string(root) != "DeleteResult":
		return nil, errNotDeleted
	case !closed:
		if err := s.outcomes(root, results); err != nil {
			return nil, err
		}
	}
	if s.space(); s.i < len(s.b) {
		return nil, errTrailing
	}
	return results, nil
}

func (s *scanner) outcomes(root []byte, results deleted) error {
	for {
		more, err := s.more(root)
		if err != nil || !more {
			return err
		}
		name, closed, err := s.open()
		switch kind := string(name); {
		case err != nil:
			return err
		case kind == "Deleted" || kind == "Error":
			if closed {
				return errNoKey
			}
			if err := s.outcome(name, results); err != nil {
				return err
			}
		case !closed:
			if err := s.skip(name, 0); err != nil {
				return err
			}
		}
	}
}

// outcome reads one Deleted or Error element.
func (s *scanner) outcome(parent []byte, results deleted) error {
	var values [4]string // key, code, message and whether there is a marker
	for {
		more, err := s.more(parent)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		name, closed, err := s.open()
		if err != nil {
			return err
		}
		if closed {
			continue
		}
		at := 0
		switch string(name) {
		case "Code":
			at = 1
		case "Message":
			at = 2
		case "DeleteMarker":
			at = 3
		case "Key":
		default:
			if err := s.skip(name, 0); err != nil {
				return err
			}
			continue
		}
		raw, seen, err := s.text(name)
		if err == nil {
			if raw, err = s.plain(raw, seen); at == 2 {
				err = nil // the message need not be understood
			}
		}
		switch {
		case err != nil:
			return err
		case values[at] != "":
			return errTwice
		}
		values[at] = string(raw)
	}
	key, r := values[0], result{marker: values[3] == "true"}
	if string(parent) != "Deleted" {
		r = result{code: values[1], locked: isLocked(values[2])}
		if r.code == "" {
			return errNoCode
		}
	}
	if before, known := results[key]; known && before != r {
		return errNoOutcome
	}
	if key == "" {
		return errNoKey
	}
	results[key] = r
	return nil
}
