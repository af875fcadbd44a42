package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	pb "firescan/catalog/catalogpb"
)

// Entry is one entry of the replicated log. Data is what Encode gives; an entry
// without data (the log has some of its own) only advances the applied index.
type Entry struct {
	Index, Term uint64
	Data        []byte
}

// entriesPerTrim is how large a batch must be to have read a good part of the file.
const entriesPerTrim = 16

// Apply carries out a batch of committed entries, which must ascend, and makes
// them durable together with the applied index, in one transaction. It answers
// one result an entry, in their order. What is applied depends on the entries
// alone. Entries at or below AppliedIndex were carried out before and get an
// empty result.
//
// A refused command is a result with a code. An error means that the batch was
// not applied and that the node must stop: *UnknownCommandError when it must be
// upgraded first, otherwise an entry that cannot be decoded or a failing disk.
func (c *Catalog) Apply(entries []Entry) ([]*pb.Result, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.db == nil {
		return nil, ErrClosed
	}
	if len(entries) == 0 {
		return nil, nil
	}
	begun := time.Now()
	results := make([]*pb.Result, len(entries))
	var last uint64
	err := c.db.Update(func(tx *bbolt.Tx) error {
		done, term := applied(tx)
		last = done
		waiting := changes{}
		for i, e := range entries {
			results[i] = &pb.Result{}
			if e.Index <= last {
				continue
			}
			r, err := applyEntry(&batch{Tx: &Tx{tx: tx}, index: e.Index, changes: waiting}, e)
			if err != nil {
				return err
			}
			results[i], last, term = r, e.Index, e.Term
		}
		if last == done {
			return nil
		}
		if err := waiting.write(tx); err != nil {
			return err
		}
		value := binary.BigEndian.AppendUint64(index8(last), term)
		return tx.Bucket([]byte(inMeta)).Put([]byte(metaApplied), value)
	})
	if err != nil {
		return nil, fmt.Errorf("apply log entries %d to %d: %w", entries[0].Index, entries[len(entries)-1].Index, err)
	}
	c.metrics.observe(len(entries), time.Since(begun))
	c.advance(last)
	if len(entries) >= entriesPerTrim {
		c.trim()
	}
	return results, nil
}

// batch is the write side of a transaction while one entry is applied.
type batch struct {
	*Tx
	index uint64
	// changes are those of records and links that the transaction has yet to
	// write. Commands that put or delete records look there first; before any
	// other they are written.
	changes changes
}

// applyEntry carries out one entry. A command decides before it writes, so
// that a refusal leaves nothing behind.
func applyEntry(b *batch, e Entry) (*pb.Result, error) {
	if len(e.Data) == 0 {
		return &pb.Result{}, nil
	}
	o, err := decode(e)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return &pb.Result{}, nil
	}
	switch o.message.(type) {
	case *pb.PutRecords, *pb.DeleteRecords:
	default:
		if err := b.changes.write(b.tx); err != nil {
			return nil, err
		}
	}
	r, err := b.carryOut(o)
	if refusal, ok := errors.AsType[*Error](err); ok {
		return &pb.Result{Code: refusal.Code, Message: refusal.Message}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s at index %d: %w", o.name, e.Index, err)
	}
	return r, nil
}

func (b *batch) carryOut(o *order) (*pb.Result, error) {
	do := func() (*pb.Result, error) { return o.apply(b, o.message) }
	if o.once == nil {
		return do()
	}
	return b.once(o.once, do)
}
