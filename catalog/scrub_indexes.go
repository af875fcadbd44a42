package catalog

import (
	"bytes"
	"strings"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// destinations compares the destinations with their indexes and homes.
func (s *scrubber) destinations() error {
	byOrg, byBucket := s.of(inDestinationsByOrg), s.of(inDestinationsByBucket)
	d := &pb.Destination{}
	if err := s.each(inDestinations, s.tx.bucket(inDestinations), func(k, v []byte) error {
		if err := proto.Unmarshal(v, d); err != nil {
			return damaged("storage destination %q cannot be read (%w)", k, err)
		}
		s.expect(byOrg, join(d.GetOrg(), string(k)), nil)
		s.expect(byBucket, join(BucketID(d), string(k)), nil)
		if s.tx.bucket(inHomes).Get(join(d.GetOrg(), string(k), BucketID(d))) == nil {
			return damaged("the bucket of storage destination %q is not among its homes", k)
		}
		return nil
	}); err != nil {
		return err
	}
	for name, in := range map[string]*sum{inDestinationsByOrg: byOrg, inDestinationsByBucket: byBucket} {
		if err := s.each(name, s.tx.bucket(name), func(k, v []byte) error {
			s.found(in, k, v)
			return nil
		}); err != nil {
			return err
		}
	}
	return s.each(inHomes, s.tx.bucket(inHomes), func(_, _ []byte) error { return nil })
}

// prefixes compares the prefixes of PITR configurations by bucket with those by
// configuration.
func (s *scrubber) prefixes() error {
	in := s.of("the prefixes of PITR configurations")
	if err := s.each(inPrefixes, s.tx.bucket(inPrefixes), func(k, v []byte) error {
		if _, ok := cutChecksum(0, k, v); !ok {
			return damaged("the checksum of a prefix of PITR configuration %q is wrong", k)
		}
		s.expect(in, k, nil)
		return nil
	}); err != nil {
		return err
	}
	return s.each(inPrefixesByPitr, s.tx.bucket(inPrefixesByPitr), func(k, _ []byte) error {
		parts := strings.SplitN(string(k), "\x00", 4)
		if len(parts) < 4 {
			return damaged("a prefix of PITR configuration %q cannot be read", k)
		}
		s.found(in, join(parts[2], parts[0], parts[1], parts[3]), nil)
		return nil
	})
}

// intents compares the marks with the open deletions.
func (s *scrubber) intents() error {
	byDestination := s.of(inIntentsByDestination)
	marks := s.of("the marks of files that are being deleted")
	if err := s.each(inIntents, s.tx.bucket(inIntents), func(k, v []byte) error {
		n, err := parse[pb.Intent](k, v)
		if err != nil {
			return err
		}
		if string(k) != string(join(n.GetOrg(), n.GetId())) {
			return damaged("deletion %q lies in the wrong place", k)
		}
		s.expect(byDestination, join(n.GetDestinationId(), n.GetId()), nil)
		for _, path := range markedKeys(n) {
			s.expect(marks, append([]byte(n.GetBucketId()+"\x00"), path...), k)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := s.each(inIntentsByDestination, s.tx.bucket(inIntentsByDestination), func(k, _ []byte) error {
		s.found(byDestination, k, nil)
		return nil
	}); err != nil {
		return err
	}
	return s.nested(inMarks, func(bucketID string, b *bbolt.Bucket) error {
		return s.each("the marks of bucket "+bucketID, b, func(k, v []byte) error {
			parts := bytes.Split(v, []byte{0})
			for i := 0; i+1 < len(parts); i += 2 {
				s.found(marks, append([]byte(bucketID+"\x00"), k...), bytes.Join(parts[i:i+2], []byte{0}))
			}
			return nil
		})
	})
}

// facts checks the values that follow from nothing else: which buckets are one, and which
// destinations have listed their bucket.
func (s *scrubber) facts() error {
	check := func(k, v []byte) error {
		if _, ok := cutChecksum(0, k, v); !ok {
			return damaged("the checksum of the value with key %q is wrong", k)
		}
		return nil
	}
	if err := s.each(inProofs, s.tx.bucket(inProofs), check); err != nil {
		return err
	}
	return s.each(inMeta, s.tx.bucket(inMeta), func(k, v []byte) error {
		if bytes.HasPrefix(k, under(metaRelation)) {
			return check(k, v)
		}
		return nil
	})
}
