package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	pb "firescan/catalog/catalogpb"
)

// An Entry is one entry of the replicated log. Data is the result of Encode; an entry
// without data (the log has some for itself) only advances the applied index.
type Entry struct {
	Index, Term uint64
	Data        []byte
}

// entriesPerTrim is the number of entries in a batch from which Apply trims memory: such
// a batch has read a good part of the file.
const entriesPerTrim = 16

// Apply carries out a batch of committed entries in ascending order and makes them
// durable together with the applied index, in one transaction. It returns one result per
// entry, in order. The resulting state depends on the entries alone. Entries at or below
// AppliedIndex are skipped and get an empty result.
//
// A refused command is a result with a code. An error means that the batch was not
// applied and that the node must stop: *UnknownCommandError when it must be upgraded
// first, otherwise an entry that cannot be decoded or a failing disk.
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
			r, err := applyEntry(&writeTx{read: &Tx{tx: tx}, index: e.Index, changes: waiting, damaged: c.noteDamage}, e)
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
		c.noteDamage(err)
		return nil, fmt.Errorf("apply log entries %d to %d: %w", entries[0].Index, entries[len(entries)-1].Index, err)
	}
	c.metrics.observe(len(entries), time.Since(begun))
	c.advance(last)
	if len(entries) >= entriesPerTrim {
		c.trim()
	}
	return results, nil
}

// applyEntry carries out one entry. A command checks before it writes, so that a refusal
// leaves nothing behind.
func applyEntry(tx *writeTx, e Entry) (*pb.Result, error) {
	if len(e.Data) == 0 {
		return &pb.Result{}, nil
	}
	c, err := decode(e)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return &pb.Result{}, nil
	}
	switch c.message.(type) {
	case *pb.PutRecords, *pb.DeleteRecords:
	default:
		if err := tx.changes.write(tx.read.tx); err != nil {
			return nil, err
		}
	}
	r, err := c.run(tx)
	if refusal, ok := errors.AsType[*Error](err); ok {
		return &pb.Result{Code: refusal.Code, Message: refusal.Message}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s at index %d: %w", c.name, e.Index, err)
	}
	return r, nil
}

func (c *decodedCommand) run(tx *writeTx) (*pb.Result, error) {
	apply := func() (*pb.Result, error) { return c.apply(tx, c.message) }
	if c.once == nil {
		return apply()
	}
	return applyOnce(tx, c.once, apply)
}
