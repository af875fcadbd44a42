package api

import (
	"net/http"
	"strings"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

type tokenView struct {
	ID        string `json:"id"`
	Org       string `json:"organizationId,omitempty"`
	Role      string `json:"role"`
	Name      string `json:"name"`
	CreatedAt stamp  `json:"createdAt"`
	ExpiresAt stamp  `json:"expiresAt,omitempty"`
	// Token is shown once, at creation.
	Token string `json:"token,omitempty"`
}

func showToken(t *pb.Token) tokenView {
	return tokenView{ID: t.Id, Org: t.Org, Role: t.Role, Name: t.Name, CreatedAt: stamp(t.CreatedAt), ExpiresAt: stamp(t.ExpiresAt)}
}

func listTokens(c *call) error {
	list := []tokenView{}
	if err := c.view(func(tx *catalog.Tx) error {
		all, err := tx.Tokens()
		for _, t := range all {
			list = append(list, showToken(t))
		}
		return err
	}); err != nil {
		return err
	}
	return c.respond(envelope{Data: list})
}

func createToken(c *call) error {
	var in struct {
		Org       string `json:"organizationId"`
		Role      string `json:"role"`
		Name      string `json:"name"`
		ExpiresAt stamp  `json:"expiresAt"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	wrong := fieldErrors{}
	role := catalog.Role(in.Role)
	if !role.Valid() {
		names := make([]string, 0, len(catalog.Roles()))
		for _, r := range catalog.Roles() {
			names = append(names, string(r))
		}
		wrong["role"] = "must be one of " + strings.Join(names, ", ")
	}
	switch {
	case role.Valid() && !role.OfOrganization() && in.Org != "":
		wrong["organizationId"] = "must be empty for the role " + in.Role
	case role.OfOrganization() && !validID(in.Org):
		wrong["organizationId"] = "is required: 1 to 128 letters, digits, '_', '-', '.' and ':'"
	}
	if len(in.Name) > maxName || !printable(in.Name) {
		wrong["name"] = "must have at most 200 printable characters"
	}
	if in.ExpiresAt != 0 && int64(in.ExpiresAt) <= c.backend.now().UnixMilli() {
		wrong["expiresAt"] = "must be a time in the future, such as 2030-01-15T10:00:00Z"
	}
	if len(wrong) > 0 {
		return invalid(wrong)
	}
	plain := catalog.NewToken()
	t := &pb.Token{
		Id: catalog.NewID(catalog.KindToken), Hash: catalog.HashToken(plain), Org: in.Org, Role: in.Role, Name: in.Name,
		CreatedAt: c.backend.now().UnixMilli(), ExpiresAt: int64(in.ExpiresAt),
	}
	limit := c.backend.limits.Tokens
	if in.Org == "" { // of operators
		limit = 0
	}
	var created *pb.Result
	if err := c.within(quotaTokens, in.Org, limit, c.backend.countTokens(in.Org), func() (err error) {
		created, err = c.proposeOnce(&pb.PutToken{Token: t}, "")
		return err
	}); err != nil {
		return err
	}
	if created.Id != t.Id { // by an earlier try of this request
		return &Error{
			Code:    CodeConflict,
			Message: "An earlier try of this request created the token " + created.Id + ", which was shown only then; revoke it and create another one with a new " + keyHeader,
		}
	}
	if c.once != nil {
		c.once.private = true
	}
	c.audited.target, c.audited.org = t.Id, t.Org
	view := showToken(t)
	view.Token = plain
	return c.respondStatus(http.StatusCreated, envelope{Data: view, Message: "Token created; it is shown only once"})
}

func deleteToken(c *call) error {
	if c.id() == c.token.Id {
		return invalidField("id", "a token cannot revoke itself; use another root token")
	}
	c.audited.org = c.tokenOrg(c.id())
	if _, err := c.propose(&pb.DeleteToken{Id: c.id()}); err != nil {
		return orNotFound(err, notFound("Token"))
	}
	return c.respond(envelope{Message: "Token revoked"})
}
