package s3

// deleted is the response to a batch of deletes: for each key in it the error
// code, which is empty for a key that is gone.
type deleted map[string]string

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
	var values [2]string // key and code
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
		case "Key":
		default:
			if err := s.skip(name, 0); err != nil {
				return err
			}
			continue
		}
		raw, seen, err := s.text(name)
		if err == nil {
			raw, err = s.plain(raw, seen)
		}
		switch {
		case err != nil:
			return err
		case values[at] != "":
			return errTwice
		}
		values[at] = string(raw)
	}
	key, code := values[0], values[1]
	if string(parent) == "Deleted" {
		code = ""
	} else if code == "" {
		return errNoCode
	}
	if before, known := results[key]; known && before != code {
		return errNoOutcome
	}
	if key == "" {
		return errNoKey
	}
	results[key] = code
	return nil
}
