package api

import (
	"slices"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// Access is what an endpoint asks of its caller.
type Access uint8

const (
	// Public endpoints need no token.
	Public Access = iota
	// Read sees what the organisation has.
	Read
	// Edit also creates and edits destinations, verifies them and syncs.
	Edit
	// Remove also migrates and deletes destinations.
	Remove
	// RemoveFiles deletes backups and files.
	RemoveFiles
	// FeedRead sees the catalog's records: readers do, and the services that write them.
	FeedRead
	// FeedWrite writes the catalog's records.
	FeedWrite
	// Operate makes tokens and runs the cluster.
	Operate
)

// accessRule says who has an access, and what the others are told.
type accessRule struct {
	roles  []catalog.Role
	denied string
}

// rules is a function so that no caller can change the table.
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
			"Only admins and owners can delete storage files", // as the specification has it
		}
	case FeedRead:
		return accessRule{
			[]catalog.Role{catalog.RoleViewer, catalog.RoleMember, catalog.RoleAdmin, catalog.RoleOwner, catalog.RoleService},
			"Only users and services of the organization can read its catalog",
		}
	case FeedWrite:
		return accessRule{[]catalog.Role{catalog.RoleService}, "Only service tokens can write the catalog"}
	case Operate:
		return accessRule{[]catalog.Role{catalog.RoleRoot}, "Only the root token can make tokens and run the cluster"}
	}
	return accessRule{denied: "Nobody can do this"}
}

// Allows tells whether a token of the given role has this access.
func (a Access) Allows(role catalog.Role) bool {
	return a == Public || slices.Contains(a.rule().roles, role)
}

// OfOrganisation tells whether the endpoint works on one organisation's things,
// so that its callers name the organisation.
func (a Access) OfOrganisation() bool { return a != Public && a != Operate }

// admit tells whether a token has this access, to things of the organisation that its
// bearer names. The error missing is for one who names none.
func (a Access) admit(t *pb.Token, org string, missing *Error) error {
	switch {
	case !a.Allows(catalog.Role(t.Role)):
		return &Error{Code: CodeDenied, Message: a.rule().denied}
	case !a.OfOrganisation():
		return nil
	case org == "":
		return missing
	case org != t.Org:
		return &Error{Code: CodeDenied, Message: "The token is not one of this organization"}
	}
	return nil
}
