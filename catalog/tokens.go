package catalog

import (
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"slices"
)

// A Role defines what the bearer of a token may do.
type Role string

// The roles.
const (
	// RoleViewer reads.
	RoleViewer Role = "viewer"
	// RoleMember also creates and edits destinations, verifies and syncs.
	RoleMember Role = "member"
	// RoleAdmin also deletes backups, files and destinations, and migrates.
	RoleAdmin Role = "admin"
	// RoleOwner may do what an admin may.
	RoleOwner Role = "owner"
	// RoleService writes the catalog feed: projects, backups, schedules, PITR
	// configurations.
	RoleService Role = "service"
	// RoleMetrics reads the metrics of nodes. It belongs to no organization.
	RoleMetrics Role = "metrics"
	// RoleRoot makes tokens and runs the cluster. It belongs to no organization.
	RoleRoot Role = "root"
)

// Roles returns every role.
func Roles() []Role {
	return []Role{RoleViewer, RoleMember, RoleAdmin, RoleOwner, RoleService, RoleMetrics, RoleRoot}
}

// Valid reports whether r is one of Roles.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// OfOrganization reports whether tokens with the role belong to an organization.
func (r Role) OfOrganization() bool { return r != RoleRoot && r != RoleMetrics }

const (
	tokenPrefix = "fsk_"
	// tokenDigits base62 digits hold 32 bytes: 62^43 > 2^256.
	tokenDigits = 43
	base62      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewToken returns a new bearer token: "fsk_" and 32 random bytes in base62, always 47
// characters. Only its hash (HashToken) may be stored.
func NewToken() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails (crypto/rand)
	n, base, digit := new(big.Int).SetBytes(raw[:]), big.NewInt(62), new(big.Int)
	text := []byte(tokenPrefix)
	for range tokenDigits {
		n.DivMod(n, base, digit)
		text = append(text, base62[digit.Int64()])
	}
	return string(text)
}

// HashToken returns the SHA-256 hash by which a token is stored and found. A plain hash
// suffices, because a token has 256 random bits.
func HashToken(plain string) []byte {
	sum := sha256.Sum256([]byte(plain))
	return sum[:]
}
