package catalog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

const (
	// answerTTL is how long an Idempotency-Key is remembered.
	answerTTL = int64(24 * time.Hour / time.Millisecond)
	// expiredPerCommand is the maximum number of expired keys that one command removes.
	expiredPerCommand = 100
)

// onceKey is the common part of Once and StoreAnswer.
type onceKey interface {
	GetOrg() string
	GetKey() string
	GetFingerprint() []byte
	GetAt() int64
}

// applyOnce carries a command out unless that was done under its key before, and stores
// the result. A refusal is not stored: it changed nothing and may not last.
func applyOnce(tx *writeTx, o *pb.Once, do func() (*pb.Result, error)) (*pb.Result, error) {
	known, err := loadAnswer(tx, o)
	if err != nil {
		return nil, err
	}
	if known != nil && known.GetResult() == nil {
		return nil, refuse(CodeConflict, "the request with this Idempotency-Key was completed already")
	}
	if known != nil {
		r := known.GetResult()
		r.Rejected = withMessages(r.GetRejected())
		return r, nil
	}
	result, err := do()
	if err != nil {
		return nil, err
	}
	stored := proto.CloneOf(result)
	stored.Rejected = withoutMessages(result.GetRejected())
	return result, putAnswer(tx, &pb.Answer{Org: o.GetOrg(), Key: o.GetKey(), Fingerprint: o.GetFingerprint(), At: o.GetAt(), Result: stored})
}

func storeAnswer(tx *writeTx, m *pb.StoreAnswer) (*pb.Result, error) {
	if m.GetStatus() == 0 {
		return nil, refuse(CodeInvalid, "a stored response has no status")
	}
	a, err := loadAnswer(tx, m)
	if err != nil {
		return nil, err
	}
	if a.GetStatus() != 0 {
		return &pb.Result{}, nil // the first response stays
	}
	if a == nil {
		a = &pb.Answer{Org: m.GetOrg(), Key: m.GetKey(), Fingerprint: m.GetFingerprint(), At: m.GetAt()}
	}
	a.Status, a.Body = m.GetStatus(), m.GetBody()
	for _, key := range m.GetForget() {
		if err := forgetAnswer(tx, m.GetOrg(), key); err != nil {
			return nil, err
		}
	}
	return &pb.Result{}, putAnswer(tx, a)
}

func forgetAnswer(tx *writeTx, org, key string) error {
	id := join(org, key)
	a, err := load[pb.Answer](tx.bucket(inAnswers), id)
	if err != nil || a == nil {
		return err
	}
	return firstError(
		tx.bucket(inAnswersByTime).Delete(append(index8(uint64(a.GetAt())), id...)),
		tx.bucket(inAnswers).Delete(id),
	)
}

// loadAnswer returns what is stored of a key, nil when there is nothing or it has
// expired.
func loadAnswer(tx *writeTx, r onceKey) (*pb.Answer, error) {
	if err := firstError(checkText("org", r.GetOrg(), maxID), checkID("the idempotency key", r.GetKey())); err != nil {
		return nil, err
	}
	if r.GetAt() < 0 {
		return nil, refuse(CodeInvalid, "the time %d is negative", r.GetAt())
	}
	a, err := load[pb.Answer](tx.bucket(inAnswers), join(r.GetOrg(), r.GetKey()))
	if err != nil || a == nil || a.GetAt() < r.GetAt()-answerTTL {
		return nil, err
	}
	if !bytes.Equal(a.GetFingerprint(), r.GetFingerprint()) {
		return nil, refuse(CodeConflict, "this Idempotency-Key was used for another request")
	}
	return a, nil
}

// putAnswer replaces what is stored of a key, and removes some expired keys.
func putAnswer(tx *writeTx, a *pb.Answer) error {
	key := join(a.GetOrg(), a.GetKey())
	old, err := load[pb.Answer](tx.bucket(inAnswers), key)
	if err != nil {
		return err
	}
	byTime := tx.bucket(inAnswersByTime)
	if old != nil {
		if err := byTime.Delete(append(index8(uint64(old.GetAt())), key...)); err != nil {
			return err
		}
	}
	if err := firstError(
		store(tx.bucket(inAnswers), key, a),
		byTime.Put(append(index8(uint64(a.GetAt())), key...), []byte{}),
	); err != nil {
		return err
	}
	return expireAnswers(tx, a.GetAt()-answerTTL)
}

// expireAnswers removes keys older than a time, the oldest first.
func expireAnswers(tx *writeTx, before int64) error {
	var old [][]byte
	for k := range scan(tx.bucket(inAnswersByTime), nil) {
		if int64(binary.BigEndian.Uint64(k)) >= before || len(old) == expiredPerCommand {
			break
		}
		old = append(old, bytes.Clone(k))
	}
	for _, k := range old {
		if err := firstError(tx.bucket(inAnswersByTime).Delete(k), tx.bucket(inAnswers).Delete(k[8:])); err != nil {
			return err
		}
	}
	return nil
}

// maxForget is the maximum number of keys that one command forgets. They fit into a log entry
// beside the longest response.
const maxForget = 1000

// AnswersAbove returns keys of an organization, the oldest first, that must be forgotten to
// store one more response of a size: none within number and bytes, otherwise enough that
// about a tenth of both is free then. Keys of results without a response count, too.
func (tx *Tx) AnswersAbove(org string, size, number, bytes int) (keys []string, err error) {
	b, prefix := tx.bucket(inAnswers), under(org)
	count, total := 1, size
	for k, v := range scan(b, prefix) {
		count, total = count+1, total+len(k)+len(v)
	}
	if count <= number && total <= bytes {
		return nil, nil
	}
	type stored struct {
		key  string
		at   int64
		size int
	}
	all := make([]stored, 0, count)
	for k, v := range scan(b, prefix) {
		a, err := parse[pb.Answer](join(org, string(k)), v)
		if err != nil {
			return nil, err
		}
		all = append(all, stored{string(k), a.GetAt(), len(k) + len(v)})
	}
	slices.SortFunc(all, func(a, b stored) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.key, b.key)) })
	for _, s := range all {
		if count <= number-number/10 && total <= bytes-bytes/10 || len(keys) == maxForget {
			break
		}
		keys = append(keys, s.key)
		count, total = count-1, total-s.size
	}
	return keys, nil
}

// Answer returns what is stored of an idempotency key; ErrNotFound when there is nothing.
// It may have expired.
func (tx *Tx) Answer(org, key string) (*pb.Answer, error) {
	a, err := load[pb.Answer](tx.bucket(inAnswers), join(org, key))
	if err == nil && a == nil {
		err = notFound("idempotency key", key)
	}
	return a, err
}
