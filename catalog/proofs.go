package catalog

import (
	"crypto/sha256"
	"strings"
	"time"

	pb "firescan/catalog/catalogpb"
)

// Whoever can name a bucket can create a destination for it, with any credentials. So an
// organization affects others in a bucket only after the credentials of one of its
// destinations have listed it: then its links and prefixes protect files from them, and stay
// in force. Marks, which block their records, need a recent proof of the destination itself.
//
// Proofs decide from the first ProveAccess on. Until then every destination counts, as it
// did before format version 3: the log of an older version has no proofs, and the nodes of a
// cluster that is upgraded one by one must come to the same decisions.

// MaxProofAge is the age up to which a proof of access is recent. A day is short enough to
// notice credentials that were revoked, and long enough that proofs, which are renewed at
// half of it, cost the log two entries a day and destination.
const MaxProofAge = 24 * time.Hour

// CredentialsDigest identifies the credentials of a destination.
func CredentialsDigest(d *pb.Destination) []byte {
	data, err := deterministic.Marshal(&pb.Destination{Sealed: d.GetSealed()})
	if err != nil {
		return nil // field names that are not UTF-8: no proof matches
	}
	sum := sha256.Sum256(data)
	return sum[:]
}

// NewProof returns the command that records that the credentials of d have just listed its
// bucket, or nil when a proof is stored that is recent enough.
func (tx *Tx) NewProof(d *pb.Destination, now time.Time) (*pb.ProveAccess, error) {
	proof, err := tx.proof(BucketID(d), d.GetId())
	if err != nil {
		return nil, err
	}
	if proof != nil && time.Duration(now.UnixMilli()-proof.GetLastAt())*time.Millisecond < MaxProofAge/2 {
		return nil, nil
	}
	return &pb.ProveAccess{
		Org: d.GetOrg(), Id: d.GetId(), Revision: d.GetRevision(), Credentials: CredentialsDigest(d), At: now.UnixMilli(),
	}, nil
}

// An authority decides which organizations affect another one in a bucket: itself, and those
// of which a destination has ever listed the bucket. Whatever else they have there, under
// other credentials, counts with it.
type authority struct {
	tx            *Tx
	bucketID, org string
	proven        map[string]bool // organizations; nil until it is needed
}

func (tx *Tx) authority(bucketID, org string) *authority {
	return &authority{tx: tx, bucketID: bucketID, org: org}
}

// alone returns the authority of an organization that no other one affects.
func alone(org string) *authority { return &authority{org: org, proven: map[string]bool{}} }

// HasOthers reports whether records of other organizations protect files of a bucket from org.
func (tx *Tx) HasOthers(bucketID, org string) (bool, error) {
	orgs, err := tx.provenOrgs(bucketID)
	delete(orgs, org)
	return len(orgs) > 0, err
}

// has reports whether the links and prefixes of an organization count.
func (a *authority) has(org []byte) (bool, error) {
	if string(org) == a.org {
		return true, nil
	}
	if a.proven == nil {
		proven, err := a.tx.provenOrgs(a.bucketID)
		if err != nil {
			return false, err
		}
		a.proven = proven
	}
	return a.proven[everybody] || a.proven[string(org)], nil
}

// everybody stands for all organizations in the result of provenOrgs.
const everybody = ""

// provenOrgs returns the organizations that have ever listed a bucket, under any of its
// identities.
func (tx *Tx) provenOrgs(bucketID string) (map[string]bool, error) {
	if !tx.proofsDecide() {
		return map[string]bool{everybody: true}, nil
	}
	orgs := map[string]bool{}
	for _, bucketID := range withAliases(tx, []string{bucketID}) {
		for id := range scan(tx.bucket(inProofs), under(bucketID)) {
			proof, err := tx.proof(bucketID, string(id))
			if err != nil {
				return nil, err
			}
			orgs[proof.GetOrg()] = true
		}
	}
	return orgs, nil
}

// proofsDecide reports whether a first ProveAccess has been applied.
func (tx *Tx) proofsDecide() bool {
	return tx.bucket(inMeta).Get([]byte(metaProofs)) != nil
}

// hasListed reports whether a destination has ever listed its bucket.
func (tx *Tx) hasListed(d *pb.Destination) (bool, error) {
	if !tx.proofsDecide() {
		return wasListed(tx, d)
	}
	return tx.bucket(inProofs).Get(join(BucketID(d), d.GetId())) != nil, nil
}

// checkRecentProof refuses to mark files for a destination whose credentials have not listed
// the bucket lately, at the time at.
func (tx *Tx) checkRecentProof(d *pb.Destination, at int64) error {
	if !tx.proofsDecide() {
		return nil
	}
	proof, err := tx.proof(BucketID(d), d.GetId())
	if err != nil {
		return err
	}
	if proof.GetLastAt() == 0 || at-proof.GetLastAt() >= MaxProofAge.Milliseconds() {
		return refuse(CodeConflict, "the credentials of storage destination %q have not listed its bucket within a day: verify it", d.GetId())
	}
	return nil
}

// proof returns the proof of a destination for a bucket, nil if there is none.
func (tx *Tx) proof(bucketID, destID string) (*pb.AccessProof, error) {
	return loadChecked[pb.AccessProof](tx.bucket(inProofs), join(bucketID, destID))
}

func proveAccess(tx *writeTx, m *pb.ProveAccess) (*pb.Result, error) {
	d, err := tx.read.Destination(m.GetOrg(), m.GetId())
	if err != nil {
		return nil, err
	}
	if d.GetRevision() != m.GetRevision() || string(CredentialsDigest(d)) != string(m.GetCredentials()) {
		return nil, refuse(CodeConflict, "storage destination %q was changed while its bucket was listed", d.GetId())
	}
	if err := seedProofs(tx, m.GetAt()); err != nil {
		return nil, err
	}
	bucketID := BucketID(d)
	orgs, err := tx.read.provenOrgs(bucketID)
	if err != nil {
		return nil, err
	}
	isNew := !orgs[d.GetOrg()]
	proof, err := tx.read.proof(bucketID, d.GetId())
	if err != nil {
		return nil, err
	}
	if proof == nil {
		proof = &pb.AccessProof{Org: d.GetOrg(), ProvenAt: m.GetAt()}
	}
	proof.LastAt = max(proof.GetLastAt(), m.GetAt())
	if err := storeChecked(tx.bucket(inProofs), join(bucketID, d.GetId()), proof); err != nil || !isNew {
		return &pb.Result{}, err
	}
	return &pb.Result{}, reclassifyForOthers(tx, bucketID, d.GetOrg())
}

// reclassifyForOthers notes that links and prefixes of an organization count in a bucket from
// now on, for destinations of others there.
func reclassifyForOthers(tx *writeTx, bucketID, org string) error {
	for id := range scan(tx.bucket(inDestinationsByBucket), under(bucketID)) {
		other, err := load[pb.Destination](tx.bucket(inDestinations), id)
		if err != nil {
			return err
		}
		if other.GetOrg() != org {
			all := deltas{}
			all.of(bucketID).Prefixes = [][]byte{{}} // too many to list
			return putDeltas(tx, all)
		}
	}
	return nil
}

// expireProof makes the proof of a destination old when its credentials or settings change.
func expireProof(tx *writeTx, d *pb.Destination) error {
	proof, err := tx.read.proof(BucketID(d), d.GetId())
	if err != nil || proof.GetLastAt() == 0 {
		return err
	}
	proof.LastAt = 0
	return storeChecked(tx.bucket(inProofs), join(BucketID(d), d.GetId()), proof)
}

// seedProofs runs once, with the first ProveAccess: destinations that older versions have
// listed or verified count as proven, and so does what cannot be known anymore, which are
// the former buckets of a destination and all buckets of a deleted one.
func seedProofs(tx *writeTx, at int64) error {
	if tx.bucket(inMeta).Get([]byte(metaProofs)) != nil {
		return nil
	}
	for key := range scan(tx.bucket(inHomes), nil) {
		parts := strings.SplitN(string(key), "\x00", 3)
		org, id, bucketID := parts[0], parts[1], parts[2]
		d, err := load[pb.Destination](tx.bucket(inDestinations), []byte(id))
		if err != nil {
			return err
		}
		if d != nil && d.GetOrg() == org && BucketID(d) == bucketID {
			listed, err := wasListed(tx.read, d)
			if err != nil {
				return err
			}
			if !listed {
				continue
			}
		}
		proof := &pb.AccessProof{Org: org, ProvenAt: at}
		if err := storeChecked(tx.bucket(inProofs), join(bucketID, id), proof); err != nil {
			return err
		}
	}
	return tx.bucket(inMeta).Put([]byte(metaProofs), []byte{})
}

// wasListed reports whether a destination was verified or synced, by what is stored apart
// from proofs.
func wasListed(tx *Tx, d *pb.Destination) (bool, error) {
	if d.GetVerified() || tx.bucket(inGenerations).Get([]byte(d.GetId())) != nil {
		return true, nil
	}
	for id := range scan(tx.bucket(inSyncsByDestination), under(d.GetOrg(), d.GetId())) {
		s, err := load[pb.Sync](tx.bucket(inSyncs), id)
		if err != nil {
			return false, err
		}
		if s.GetStatus() == SyncCompleted {
			return true, nil
		}
	}
	return false, nil
}
