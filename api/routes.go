package api

import (
	"net/http"
	"slices"

	"github.com/julienschmidt/httprouter"
)

// routes returns all endpoints. The router, the tests of roles and the check of the
// OpenAPI document use this table.
func (s *Server) routes() []route {
	return slices.Concat(
		[]route{
			{"POST", "/api/v1/storage/connect", Edit, remote, s.accounts.connect},
			{"POST", "/api/v1/storage/buckets/create", Edit, remote, s.accounts.createBucket},
			{"POST", "/api/v1/storage/buckets/verify", Edit, remote, s.accounts.verifyBucket},
			{"POST", "/api/v1/storage/buckets/folders", Edit, remote, s.accounts.listFolders},
			{"POST", "/api/v1/storage/buckets/folders/create", Edit, remote, s.accounts.createFolder},
			{"GET", "/api/v1/storage/destinations", Read, quick, listDestinations},
			{"POST", "/api/v1/storage/destinations", Edit, quick, s.destinations.create},
			{"GET", "/api/v1/storage/destinations/:id", Read, quick, getDestination},
			{"PUT", "/api/v1/storage/destinations/:id", Edit, quick, s.destinations.update},
			{"DELETE", "/api/v1/storage/destinations/:id", Remove, quick, deleteDestination},
			{"POST", "/api/v1/storage/destinations/:id/verify", Edit, remote, s.destinations.verify},
			{"POST", "/api/v1/storage/destinations/:id/migrate", Remove, quick, migrateDestination},
			{"GET", "/api/v1/storage/destinations/:id/linked", Read, quick, linkedResources},
			{"GET", "/api/v1/storage/destinations/:id/backups", Read, quick, s.backups.list},
			{"GET", "/api/v1/storage/destinations/:id/files", Read, noTimeout, s.files.list},
			{"GET", "/api/v1/storage/destinations/:id/files/stats", Read, remote, s.files.stats},
			{"GET", "/api/v1/storage/destinations/:id/files/export", Read, noTimeout, s.files.export},
			{"DELETE", "/api/v1/storage/destinations/:id/files", RemoveFiles, deleting, s.files.deleteOne},
			{"POST", "/api/v1/storage/destinations/:id/files/bulk-delete", RemoveFiles, deleting, s.files.deleteMany},
			{"POST", "/api/v1/storage/destinations/:id/backups/bulk-delete", RemoveFiles, deleting, s.backups.deleteMany},
			{"POST", "/api/v1/storage/destinations/:id/cleanup-orphans", RemoveFiles, cleanupTime, s.files.cleanup},
			{"GET", "/api/v1/storage/audit", ReadAudit, noTimeout, listAudit},
			{"GET", "/api/v1/storage/stats", Read, quick, s.stats.get},
			{"POST", "/api/v1/storage/sync", Edit, quick, startMany},
			{"GET", "/api/v1/storage/syncs", Read, quick, listSyncs},
			{"GET", "/api/v1/storage/syncs/:id", Read, quick, getSync},
			{"DELETE", "/api/v1/storage/syncs/:id", Edit, quick, cancelSync},
			{"GET", "/api/v1/storage/events", Read, noTimeout, s.events.stream},
			{"POST", "/api/v1/catalog/import", FeedWrite, noTimeout, importRecords},
			{"POST", "/api/v1/catalog/import/check", FeedWrite, remote, checkImport},
			{"GET", "/api/v1/admin/tokens", Operate, quick, listTokens},
			{"POST", "/api/v1/admin/tokens", Operate, quick, createToken},
			{"DELETE", "/api/v1/admin/tokens/:id", Operate, quick, deleteToken},
			{"POST", "/api/v1/admin/keys/rotate", Operate, remote, s.admin.rotateKeys},
			{"POST", "/api/v1/admin/secret/rotate", Operate, remote, s.admin.rotateSecret},
			{"GET", "/api/v1/admin/cluster", Operate, quick, s.admin.nodes},
			{"DELETE", "/api/v1/admin/cluster/:id", Operate, remote, s.admin.removeNode},
			{"GET", "/api/v1/openapi.json", Public, quick, showOpenAPI},
			{"GET", "/healthz", Public, quick, healthz},
			{"GET", "/readyz", Public, quick, s.probes.ready},
			{"GET", "/metrics", Scrape, quick, s.probes.metrics},
		},
		feedRoutes(),
	)
}

func (s *Server) newRouter() *httprouter.Router {
	r := httprouter.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	r.GlobalOPTIONS = handler(s.backend.serve(&route{path: "none", access: Public, timeout: quick, handle: options}))
	for _, route := range s.routes() {
		r.Handle(route.method, route.path, s.backend.serve(&route))
		if route.method == http.MethodGet {
			r.Handle(http.MethodHead, route.path, s.backend.serve(&route))
		}
	}
	unknown := &route{path: "none", access: Public, timeout: quick, handle: func(c *call) error {
		return &Error{Code: CodeNotFound, Message: "No such endpoint: " + c.Request.Method + " " + c.Request.URL.Path}
	}}
	r.NotFound = handler(s.backend.serve(unknown))
	wrong := &route{path: "none", access: Public, timeout: quick, handle: func(c *call) error {
		return &Error{Code: CodeMethod, Message: c.Request.Method + " is not allowed for this endpoint; allowed: " + c.Header().Get("Allow")}
	}}
	r.MethodNotAllowed = handler(s.backend.serve(wrong))
	return r
}

func handler(h httprouter.Handle) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h(w, r, nil) })
}
