package catalog

import (
	"strings"

	pb "firescan/catalog/catalogpb"
)

func (w *recordWriter) putSchedule(n *pb.Schedule) error {
	s, err := w.existingStorage(n.GetStorageId())
	if err != nil {
		return err
	}
	value, old, same, err := replaced[pb.Schedule](w, scheduleKind(), n.GetId(), n)
	if err != nil || same {
		return err
	}
	if old != nil {
		if err := w.removeSchedule(old); err != nil {
			return err
		}
	}
	s.counters.Schedules++
	w.place(scheduleKind(), n.GetStorageId(), n.GetId(), value)
	return nil
}

func (w *recordWriter) removeSchedule(old *pb.Schedule) error {
	s, err := w.storage(old.GetStorageId())
	if err != nil {
		return err
	}
	s.counters.Schedules--
	w.unplace(scheduleKind(), old.GetStorageId(), old.GetId())
	return nil
}

func (w *recordWriter) putPitr(n *pb.Pitr) error {
	if err := checkPitr(n); err != nil {
		return err
	}
	s, err := w.existingStorage(n.GetStorageId())
	if err != nil {
		return err
	}
	if err := checkPitrUnmarked(w.tx, n, s.bucketID); err != nil {
		return err
	}
	value, old, same, err := replaced[pb.Pitr](w, pitrKind(), n.GetId(), n)
	if err != nil || same {
		return err
	}
	if old != nil {
		if err := w.unplacePitr(old); err != nil {
			return err
		}
	}
	s.counters.Pitr++
	w.place(pitrKind(), n.GetStorageId(), n.GetId(), value)
	return addPitrPrefix(w.tx, n, s.bucketID, w.deltas)
}

// removePitr removes a configuration and every prefix that it ever wrote under.
func (w *recordWriter) removePitr(old *pb.Pitr) error {
	if err := w.unplacePitr(old); err != nil {
		return err
	}
	for _, rest := range keysOf(w.tx.bucket(inPrefixesByPitr), under(w.org, old.GetId())) {
		bucketID, prefix, _ := strings.Cut(rest, "\x00")
		if err := firstError(
			w.tx.bucket(inPrefixesByPitr).Delete(join(w.org, old.GetId(), rest)),
			w.tx.bucket(inPrefixes).Delete(join(bucketID, w.org, old.GetId(), prefix)),
		); err != nil {
			return err
		}
		d := w.deltas.of(bucketID)
		d.Prefixes = append(d.Prefixes, []byte(prefix))
	}
	return nil
}

func (w *recordWriter) unplacePitr(old *pb.Pitr) error {
	s, err := w.storage(old.GetStorageId())
	if err != nil {
		return err
	}
	s.counters.Pitr--
	w.unplace(pitrKind(), old.GetStorageId(), old.GetId())
	return nil
}
