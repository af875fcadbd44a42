package api

import (
	"net/url"
	"slices"
)

// parameters returns the query parameters of an endpoint. Unknown parameters are
// refused: a mistyped dryRun must not delete.
func parameters(method, path string) []string {
	const destinations = "/api/v1/storage/destinations"
	switch method + " " + path {
	case "GET " + destinations:
		return []string{"deleted", "consistency"}
	case "GET " + destinations + "/:id", "GET " + destinations + "/:id/linked", "GET /api/v1/storage/syncs/:id",
		"GET /api/v1/catalog/projects/:id", "GET /api/v1/catalog/backups/:id", "GET /api/v1/catalog/schedules/:id", "GET /api/v1/catalog/pitr/:id",
		"GET /api/v1/admin/tokens":
		return []string{"consistency"}
	case "GET " + destinations + "/:id/backups":
		return []string{"limit", "cursor", "missing", "consistency"}
	case "GET " + destinations + "/:id/files":
		return []string{"force", "type", "orphansOnly", "limit", "cursor", "prefix", "minAge", "consistency"}
	case "GET " + destinations + "/:id/files/export":
		return []string{"format", "type", "orphansOnly", "prefix", "minAge", "consistency"}
	case "GET " + destinations + "/:id/files/stats", "GET /api/v1/storage/stats":
		return []string{"force", "consistency"}
	case "POST " + destinations + "/:id/cleanup-orphans":
		return []string{"dryRun", "confirm", "includeUnknown", "includeResembling", "minAge", "type"}
	case "POST /api/v1/storage/sync":
		return []string{"destinationId"}
	case "GET /api/v1/storage/syncs":
		return []string{"destinationId", "limit", "cursor", "consistency"}
	case "GET /api/v1/storage/audit":
		return []string{"limit", "cursor", "consistency"}
	}
	return nil
}

// checkParameters refuses unknown and repeated parameters. Public endpoints accept any,
// since probes add their own.
func (c *call) checkParameters() error {
	if c.route.access == Public || c.Request.URL.RawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return invalidField("query", "is invalid: "+err.Error())
	}
	wrong := fieldErrors{}
	allowed := parameters(c.route.method, c.route.path)
	for name, given := range values {
		switch {
		case !slices.Contains(allowed, name):
			wrong[name] = "is not a parameter of this request"
		case len(given) > 1:
			wrong[name] = "must be given once"
		}
	}
	if v := values.Get("consistency"); v != "" && v != "stale" {
		wrong["consistency"] = "must be stale or absent"
	}
	if len(wrong) > 0 {
		return invalid(wrong)
	}
	return nil
}
