package api

import (
	"slices"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// Access is the permission that an endpoint requires.
type Access uint8

const (
	// Public endpoints need no token.
	Public Access = iota
	// Read reads what the organization has.
	Read
	// Edit also creates and edits destinations, verifies them and syncs.
	Edit
	// Remove also migrates and deletes destinations.
	Remove
	// RemoveFiles deletes backups and files.
	RemoveFiles
	// ReadAudit sees who changed what: in its organization, or operators anywhere.
	ReadAudit
	// FeedRead sees the catalog's records: readers do, and the services that write them.
	FeedRead
	// FeedWrite writes the catalog's records.
	FeedWrite
	// Scrape reads the metrics of a node, which name organizations.
	Scrape
	// Operate creates tokens and runs the cluster.
	Operate
)

// accessRule lists the roles that have an access, and the message for all others.
type accessRule struct {
	roles  []catalog.Role
	denied string
}

// rule is a function so that no caller can change the table.
func (a Access) rule() accessRule {
	switch a {
	case Read:
		return accessRule{
			[]catalog.Role{catalog.RoleViewer, catalog.RoleMember, catalog.RoleAdmin, catalog.RoleOwner},
			"Only viewers, members, admins and owners of the organization can read its storage",
		}
	case Edit:
		return accessRule{
			[]catalog.Role{catalog.RoleMember, catalog.RoleAdmin, catalog.RoleOwner},
			"Only members, admins and owners can edit, verify and sync storage destinations",
		}
	case Remove:
		return accessRule{
			[]catalog.Role{catalog.RoleAdmin, catalog.RoleOwner},
			"Only admins and owners can migrate and delete storage destinations",
		}
	case RemoveFiles:
		return accessRule{
			[]catalog.Role{catalog.RoleAdmin, catalog.RoleOwner},
			"Only admins and owners can delete storage files", // fixed by the specification
		}
	case ReadAudit:
		return accessRule{
			[]catalog.Role{catalog.RoleAdmin, catalog.RoleOwner, catalog.RoleRoot},
			"Only admins and owners of the organization and the root token can read the audit",
		}
	case FeedRead:
		return accessRule{
			[]catalog.Role{catalog.RoleViewer, catalog.RoleMember, catalog.RoleAdmin, catalog.RoleOwner, catalog.RoleService},
			"Only users and services of the organization can read its catalog",
		}
	case FeedWrite:
		return accessRule{[]catalog.Role{catalog.RoleService}, "Only service tokens can write the catalog"}
	case Scrape:
		return accessRule{[]catalog.Role{catalog.RoleMetrics, catalog.RoleRoot}, "Only tokens with the role metrics or root can read the metrics"}
	case Operate:
		return accessRule{[]catalog.Role{catalog.RoleRoot}, "Only the root token can create tokens and operate the cluster"}
	}
	return accessRule{denied: "No role has access"}
}

// Allows reports whether a role has this access.
func (a Access) Allows(role catalog.Role) bool {
	return a == Public || slices.Contains(a.rule().roles, role)
}

// OfOrganization reports whether the endpoint works on the data of one organization,
// which callers then name.
func (a Access) OfOrganization() bool { return a != Public && a != Scrape && a != Operate }

// admit returns nil when a token has this access to the organization that its bearer
// names. It returns missing when the bearer names none.
func (a Access) admit(t *pb.Token, org string, missing *Error) error {
	switch {
	case !a.Allows(catalog.Role(t.Role)):
		return &Error{Code: CodeDenied, Message: a.rule().denied}
	case !a.OfOrganization(), a == ReadAudit && t.Role == string(catalog.RoleRoot): // who may name one
		return nil
	case org == "":
		return missing
	case org != t.Org:
		return &Error{Code: CodeDenied, Message: "The token belongs to another organization"}
	}
	return nil
}
