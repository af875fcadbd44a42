package catalog

import (
	"bytes"
	"encoding/binary"
	"time"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

const (
	// rememberedFor is how long an Idempotency-Key stands for its request.
	rememberedFor = int64(24 * time.Hour / time.Millisecond)
	// forgottenAtOnce bounds how many old answers one command forgets.
	forgottenAtOnce = 100
)

// asked is what Once and StoreAnswer have in common.
type asked interface {
	GetOrg() string
	GetKey() string
	GetFingerprint() []byte
	GetAt() int64
}

// once carries a command out unless that was done under its key before, and remembers
// the result. A refusal is not remembered: it changed nothing, and may not last.
func (b *batch) once(o *pb.Once, do func() (*pb.Result, error)) (*pb.Result, error) {
	known, err := b.recall(o)
	if err != nil {
		return nil, err
	}
	if known != nil && known.GetResult() == nil {
		return nil, refuse(CodeConflict, "the request with this Idempotency-Key was answered already")
	}
	if known != nil {
		r := known.GetResult()
		r.Rejected = worded(r.GetRejected())
		return r, nil
	}
	result, err := do()
	if err != nil {
		return nil, err
	}
	stored := proto.CloneOf(result)
	stored.Rejected = wordless(result.GetRejected())
	return result, b.remember(&pb.Answer{Org: o.GetOrg(), Key: o.GetKey(), Fingerprint: o.GetFingerprint(), At: o.GetAt(), Result: stored})
}

func (b *batch) storeAnswer(m *pb.StoreAnswer) (*pb.Result, error) {
	if m.GetStatus() == 0 {
		return nil, refuse(CodeInvalid, "an answer has no status")
	}
	a, err := b.recall(m)
	if err != nil {
		return nil, err
	}
	if a.GetStatus() != 0 {
		return &pb.Result{}, nil // the first one stays
	}
	if a == nil {
		a = &pb.Answer{Org: m.GetOrg(), Key: m.GetKey(), Fingerprint: m.GetFingerprint(), At: m.GetAt()}
	}
	a.Status, a.Body = m.GetStatus(), m.GetBody()
	return &pb.Result{}, b.remember(a)
}

// recall finds what is remembered of a key; nil when nothing is, or nothing that counts still.
func (b *batch) recall(r asked) (*pb.Answer, error) {
	if err := firstError(checkText("org", r.GetOrg(), maxID), checkID("the idempotency key", r.GetKey())); err != nil {
		return nil, err
	}
	if r.GetAt() < 0 {
		return nil, refuse(CodeInvalid, "the time %d is negative", r.GetAt())
	}
	a, err := load[pb.Answer](b.bucket(inAnswers), join(r.GetOrg(), r.GetKey()))
	if err != nil || a == nil || a.GetAt() < r.GetAt()-rememberedFor {
		return nil, err
	}
	if !bytes.Equal(a.GetFingerprint(), r.GetFingerprint()) {
		return nil, refuse(CodeConflict, "this Idempotency-Key was used for another request")
	}
	return a, nil
}

// remember stores an answer in place of what is there, and forgets some that are too old.
func (b *batch) remember(a *pb.Answer) error {
	key := join(a.GetOrg(), a.GetKey())
	old, err := load[pb.Answer](b.bucket(inAnswers), key)
	if err != nil {
		return err
	}
	byTime := b.bucket(inAnswersByTime)
	if old != nil {
		if err := byTime.Delete(append(index8(uint64(old.GetAt())), key...)); err != nil {
			return err
		}
	}
	if err := firstError(
		store(b.bucket(inAnswers), key, a),
		byTime.Put(append(index8(uint64(a.GetAt())), key...), []byte{}),
	); err != nil {
		return err
	}
	return b.forgetAnswers(a.GetAt() - rememberedFor)
}

// forgetAnswers forgets answers from before a time, the oldest first.
func (b *batch) forgetAnswers(before int64) error {
	var old [][]byte
	for k := range scan(b.bucket(inAnswersByTime), nil) {
		if int64(binary.BigEndian.Uint64(k)) >= before || len(old) == forgottenAtOnce {
			break
		}
		old = append(old, bytes.Clone(k))
	}
	for _, k := range old {
		if err := firstError(b.bucket(inAnswersByTime).Delete(k), b.bucket(inAnswers).Delete(k[8:])); err != nil {
			return err
		}
	}
	return nil
}

// Answer reads what is remembered of an idempotency key; ErrNotFound when nothing is. It
// may be older than the day for which it counts.
func (tx *Tx) Answer(org, key string) (*pb.Answer, error) {
	a, err := load[pb.Answer](tx.bucket(inAnswers), join(org, key))
	if err == nil && a == nil {
		err = missing("idempotency key", key)
	}
	return a, err
}
