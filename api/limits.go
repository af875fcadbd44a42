package api

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	pb "firescan/catalog/catalogpb"
	"firescan/cluster/transport"
)

// Limits are the quotas of tenants and strangers; 0 means unlimited. Rates and streams count
// on each node by itself, what is in the catalog in the whole cluster.
type Limits struct {
	// OrgRequests and TokenRequests are requests per second of an organization and of a
	// token.
	OrgRequests, TokenRequests int
	// Streams, OrgStreams and TokenStreams are concurrent event streams (server-sent events
	// and Socket.IO) in all, of an organization and of a token.
	Streams, OrgStreams, TokenStreams int
	// Imports are concurrent imports of an organization.
	Imports int
	// Destinations, Syncs (running) and Tokens are those of an organization.
	Destinations, Syncs, Tokens int
	// StoredResponses and StoredResponseBytes are the stored responses to requests with an Idempotency-Key,
	// of an organization. The oldest are forgotten for new ones.
	StoredResponses, StoredResponseBytes int
	// AuditRate is the number of requests per minute of an organization that are audited by
	// themselves, on each node; more are counted by kind. AuditEntries are those that are
	// kept of each organization, and of the cluster.
	AuditRate, AuditEntries int
	// FailedLogins are per minute and address.
	FailedLogins int
	// Connections are open connections in all, AddressConnections those of one address which
	// is no trusted proxy. The server that accepts them enforces these.
	Connections, AddressConnections int
	// TrustedProxies are the balancers whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
}

// DefaultLimits returns limits that protect a node and that no organization meets in usual
// operation.
func DefaultLimits() Limits {
	return Limits{
		OrgRequests: 10_000, TokenRequests: 5_000,
		Streams: 8192, OrgStreams: 4096, TokenStreams: 1024,
		Imports:      8,
		Destinations: 1000, Syncs: 1000, Tokens: 1000,
		StoredResponses: 10_000, StoredResponseBytes: 16 << 20,
		AuditRate: 120, AuditEntries: 10_000,
		FailedLogins: 120,
		Connections:  16_384, AddressConnections: 4096,
	}
}

// maxLimiters is the number of addresses, tokens and organizations each whose rates are
// remembered. A forgotten one begins again.
const maxLimiters = 16_384

// limits enforces Limits. It is safe for concurrent use.
type limits struct {
	Limits
	proxies proxies
	orgs    *limiters
	tokens  *limiters
	logins  *limiters
	audits  *limiters
	imports *inUse
	metrics *metrics
	now     func() time.Time
}

func newLimits(l Limits, m *metrics, now func() time.Time) (*limits, error) {
	made := &limits{Limits: l, proxies: l.TrustedProxies, imports: &inUse{}, metrics: m, now: now}
	for _, of := range []struct {
		limiters  **limiters
		perSecond float64
		burst     int
	}{
		{&made.orgs, float64(l.OrgRequests), l.OrgRequests},
		{&made.tokens, float64(l.TokenRequests), l.TokenRequests},
		{&made.logins, float64(l.FailedLogins) / 60, l.FailedLogins},
		{&made.audits, float64(l.AuditRate) / 60, l.AuditRate},
	} {
		byKey, err := lru.New[string, *rate.Limiter](maxLimiters)
		if err != nil {
			return nil, fmt.Errorf("create the limits of the API: %w", err)
		}
		*of.limiters = &limiters{byKey, rate.Limit(of.perSecond), of.burst}
	}
	for _, q := range quotas() { // so that the series exist with value 0
		m.limited.WithLabelValues(string(q))
	}
	return made, nil
}

// limiters are rate limiters by key.
type limiters struct {
	byKey *lru.Cache[string, *rate.Limiter]
	rate  rate.Limit // 0 is unlimited
	burst int
}

// wait takes one event of a key. It returns 0, or how long to wait until there is one.
func (l *limiters) wait(key string, now time.Time) time.Duration {
	if l.rate == 0 {
		return 0
	}
	one, ok := l.byKey.Get(key)
	if !ok {
		one = rate.NewLimiter(l.rate, l.burst)
		if other, taken, _ := l.byKey.PeekOrAdd(key, one); taken {
			one = other
		}
	}
	taken := one.ReserveN(now, 1)
	wait := taken.DelayFrom(now)
	if wait > 0 {
		taken.CancelAt(now)
	}
	return wait
}

// quota names a limit in metrics and errors.
type quota string

const (
	quotaOrgRequests     quota = "organization-requests"
	quotaTokenRequests   quota = "token-requests"
	quotaFailedLogins    quota = "failed-logins"
	quotaStreams         quota = "streams"
	quotaOrgStreams      quota = "organization-streams"
	quotaTokenStreams    quota = "token-streams"
	quotaImports         quota = "imports"
	quotaDestinations    quota = "destinations"
	quotaSyncs           quota = "syncs"
	quotaTokens          quota = "tokens"
	quotaStoredResponses quota = "stored-responses"
	quotaAudit           quota = "audit"
)

func quotas() []quota {
	return []quota{
		quotaOrgRequests, quotaTokenRequests, quotaFailedLogins, quotaStreams, quotaOrgStreams, quotaTokenStreams,
		quotaImports, quotaDestinations, quotaSyncs, quotaTokens, quotaStoredResponses, quotaAudit,
	}
}

// exceeded counts and returns the refusal of a request above a quota, which may be repeated
// after a while.
func (l *limits) exceeded(q quota, limit int, after time.Duration, message string) *Error {
	l.metrics.limited.WithLabelValues(string(q)).Inc()
	return &Error{
		Code: CodeRateLimited, Message: message, retryAfter: after,
		Details: map[string]any{"quota": q, "limit": limit},
	}
}

// request returns nil when a token may make one more request.
func (l *limits) request(t *pb.Token) error {
	now := l.now()
	if wait := l.tokens.wait(t.Id, now); wait > 0 {
		return l.exceeded(quotaTokenRequests, l.TokenRequests, wait,
			fmt.Sprintf("The token has made more than %d requests per second; slow down", l.TokenRequests))
	}
	if t.Org == "" {
		return nil
	}
	if wait := l.orgs.wait(t.Org, now); wait > 0 {
		return l.exceeded(quotaOrgRequests, l.OrgRequests, wait,
			fmt.Sprintf("The organization has made more than %d requests per second; slow down", l.OrgRequests))
	}
	return nil
}

// failedLogin counts a token that this node does not know, and returns nil unless the
// address sent too many. Those who have a valid token are never asked, so that a stranger
// behind the same balancer cannot keep them out.
func (l *limits) failedLogin(address string) error {
	if wait := l.logins.wait(address, l.now()); wait > 0 {
		return l.exceeded(quotaFailedLogins, l.FailedLogins, wait,
			"Too many requests from this address had a token that is unknown or was revoked; check the token, and wait")
	}
	return nil
}

// stream returns nil when one more stream may begin beside those of its token, its
// organization and all.
func (l *limits) stream(ofToken, ofOrg, all int) error {
	for _, q := range []struct {
		quota          quota
		current, limit int
		what           string
	}{
		{quotaTokenStreams, ofToken, l.TokenStreams, "The token"},
		{quotaOrgStreams, ofOrg, l.OrgStreams, "The organization"},
		{quotaStreams, all, l.Streams, "This node"},
	} {
		if q.limit > 0 && q.current >= q.limit {
			return l.exceeded(q.quota, q.limit, streamWait, fmt.Sprintf("%s has %d event streams, the maximum; close some", q.what, q.limit))
		}
	}
	return nil
}

// streamWait is the Retry-After of a stream.
const streamWait = 5 * time.Second

// retryAfterSeconds formats a Retry-After, at least one second.
func retryAfterSeconds(d time.Duration) string {
	return fmt.Sprint(max(int(math.Ceil(d.Seconds())), 1))
}

// key returns what limits count the client of a request by.
func (l *limits) key(r *http.Request) string { return transport.HostOf(l.proxies.client(r)).String() }

// inUse counts what is in use by key. The zero value is ready for use.
type inUse struct {
	mu    sync.Mutex
	byKey map[string]int
}

// take adds one use of a key, unless there are limit of them already.
func (u *inUse) take(key string, limit int) (release func(), ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if limit > 0 && u.byKey[key] >= limit {
		return nil, false
	}
	if u.byKey == nil {
		u.byKey = map[string]int{}
	}
	u.byKey[key]++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.byKey[key]--; u.byKey[key] == 0 {
			delete(u.byKey, key)
		}
	}, true
}
