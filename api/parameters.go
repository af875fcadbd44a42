package api

import (
	"net/url"
	"slices"
	"strings"
)

// parameters returns the query parameters of an endpoint.
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
		return []string{"actor", "action", "outcome", "destinationId", "path", "since", "until", "format", "limit", "cursor", "consistency"}
	}
	return nil
}

// checkParameters refuses repeated parameters, and unknown ones where they may do harm: a
// mistyped dryRun must not delete, a mistyped orphansOnly must not show everything. Requests
// that only read ignore others, as caches and proxies add them. Public endpoints accept any,
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
			meant := resembling(name, allowed)
			if meant != "" {
				wrong[name] = "is not a parameter of this request; is " + meant + " meant?"
			} else if c.mutates() {
				wrong[name] = "is not a parameter of this request"
			}
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

// resembling returns the known parameter that a name may be a misspelling of, if any: one
// that differs in case, dashes and underscores, or by at most two edits.
func resembling(name string, known []string) string {
	fold := func(s string) string { return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s)) }
	name = fold(name)
	if len(name) > 32 {
		return ""
	}
	for _, k := range known {
		if folded := fold(k); folded == name || Distance(folded, name) <= min(2, len(folded)/3) {
			return k
		}
	}
	return ""
}

// Distance returns the number of bytes to insert, delete or replace to make a of b.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
