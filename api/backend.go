package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// Consensus changes the catalog, and brings this node's catalog up to date;
// *cluster.Cluster does.
type Consensus interface {
	// Propose returns when the command is applied on this node.
	Propose(ctx context.Context, command proto.Message) (*pb.Result, error)
	// ProposeOnce is Propose for a command that takes effect once for the key of once,
	// however often it is proposed: it always returns the result of the first.
	ProposeOnce(ctx context.Context, command proto.Message, once *pb.Once) (*pb.Result, error)
	// ProposeAll proposes several commands at once, in order. A refusal is in the result
	// of its command; after an error the commands before it may have been applied.
	ProposeAll(ctx context.Context, commands []proto.Message) ([]*pb.Result, error)
	// Barrier returns when this node's catalog holds all that was written before.
	Barrier(ctx context.Context) error
}

// A ShardLocator finds nodes that hold a shard.
type ShardLocator interface {
	// Holder returns a node that holds the newest index of a destination, as the host of a
	// URL for Transport; false when this node holds it, or no other is known to.
	Holder(destination string) (host string, ok bool)
	// Transport makes requests to other nodes.
	Transport() http.RoundTripper
	// Totals asks a holder for the totals of a destination; index.ErrNoShard without a holder.
	Totals(ctx context.Context, destination string) (index.Totals, error)
}

// backend is what the handlers of all endpoints share.
type backend struct {
	catalog   *catalog.Catalog
	consensus Consensus
	locator   ShardLocator
	freezer   Freezer // may be nil
	metrics   *metrics
	limits    *limits
	audit     *auditor
	// openMetrics lets clients on the same machine read the metrics without a token.
	openMetrics bool
	log         *slog.Logger
	now         func() time.Time
	flights     flights
}

// identify looks up a token by its hash: 256 random bits that were hashed leave nothing to
// learn from the time of the comparison. A token is reported as unknown only by a node that
// is up to date, since another node may have created it a moment ago. The argument address is
// what limits count failures by.
func (b *backend) identify(ctx context.Context, address, plain string) (t *pb.Token, err error) {
	find := func(tx *catalog.Tx) (err error) {
		t, err = tx.TokenByHash(catalog.HashToken(plain))
		return err
	}
	if err = b.catalog.View(find); errors.Is(err, catalog.ErrNotFound) {
		if err := b.limits.failedLogin(address); err != nil {
			b.recordLogin(address, nil, CodeRateLimited)
			return nil, err
		}
		if err := b.consensus.Barrier(ctx); err != nil {
			return nil, err
		}
		err = b.catalog.View(find)
	}
	if err == nil && b.expired(t) {
		b.recordLogin(address, t, CodeUnauthorized)
		return nil, &Error{Code: CodeUnauthorized, Message: "The token has expired"}
	}
	if errors.Is(err, catalog.ErrNotFound) {
		b.recordLogin(address, nil, CodeUnauthorized)
	}
	return t, orNotFound(err, &Error{Code: CodeUnauthorized, Message: "The token is unknown or was revoked"})
}

// expired reports whether a token has expired.
func (b *backend) expired(t *pb.Token) bool {
	return t.ExpiresAt != 0 && t.ExpiresAt <= b.now().UnixMilli()
}

// valid reports whether a token is neither revoked nor expired.
func (b *backend) valid(t *pb.Token) bool {
	return !b.expired(t) && b.catalog.View(func(tx *catalog.Tx) error {
		_, err := tx.TokenByHash(t.Hash)
		return err
	}) == nil
}

// A Freezer knows when the process stood still; *cluster.Cluster does.
type Freezer interface {
	FrozenSince(at time.Time) bool
}
