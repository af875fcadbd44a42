package api

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"
)

const (
	// bodyLimit bounds the body of most requests, in bytes, and listLimit those that name
	// thousands of files.
	bodyLimit = 1 << 20
	listLimit = 4 << 20
	// quick bounds requests that are served from this node and the log.
	quick = 15 * time.Second
	// remote bounds requests that ask a provider.
	remote = 60 * time.Second
	// deleting bounds requests that delete many files, a chunk of which may take a minute.
	deleting = 15 * time.Minute
	// noTimeout is for streams, which end with their client or their content.
	noTimeout = 0
)

// route is one endpoint. The router, the tests of roles and the description of the
// API are made from this table.
type route struct {
	method, path string
	access       Access
	timeout      time.Duration
	handle       func(*Server, *call) error
}

// bodyLimit is how many bytes the body of a request may have.
func (r *route) bodyLimit() int64 {
	if strings.HasSuffix(r.path, "/files/bulk-delete") {
		return listLimit
	}
	return bodyLimit
}

// routes are all endpoints.
func routes() []route {
	return slices.Concat(
		[]route{
			{"POST", "/api/v1/storage/connect", Edit, remote, (*Server).connect},
			{"POST", "/api/v1/storage/buckets/create", Edit, remote, (*Server).createBucket},
			{"POST", "/api/v1/storage/buckets/verify", Edit, remote, (*Server).verifyBucket},
			{"POST", "/api/v1/storage/buckets/folders", Edit, remote, (*Server).listFolders},
			{"POST", "/api/v1/storage/buckets/folders/create", Edit, remote, (*Server).createFolder},
			{"GET", "/api/v1/storage/destinations", Read, quick, (*Server).listDestinations},
			{"POST", "/api/v1/storage/destinations", Edit, quick, (*Server).createDestination},
			{"GET", "/api/v1/storage/destinations/:id", Read, quick, (*Server).getDestination},
			{"PUT", "/api/v1/storage/destinations/:id", Edit, quick, (*Server).updateDestination},
			{"DELETE", "/api/v1/storage/destinations/:id", Remove, quick, (*Server).deleteDestination},
			{"POST", "/api/v1/storage/destinations/:id/verify", Edit, remote, (*Server).verifyDestination},
			{"POST", "/api/v1/storage/destinations/:id/migrate", Remove, quick, (*Server).migrateDestination},
			{"GET", "/api/v1/storage/destinations/:id/linked", Read, quick, (*Server).linkedResources},
			{"GET", "/api/v1/storage/destinations/:id/backups", Read, quick, (*Server).listBackups},
			{"GET", "/api/v1/storage/destinations/:id/files", Read, noTimeout, (*Server).listFiles},
			{"GET", "/api/v1/storage/destinations/:id/files/stats", Read, remote, (*Server).fileStats},
			{"GET", "/api/v1/storage/destinations/:id/files/export", Read, noTimeout, (*Server).exportFiles},
			{"DELETE", "/api/v1/storage/destinations/:id/files", RemoveFiles, deleting, (*Server).deleteFile},
			{"POST", "/api/v1/storage/destinations/:id/files/bulk-delete", RemoveFiles, deleting, (*Server).deleteFiles},
			{"POST", "/api/v1/storage/destinations/:id/backups/bulk-delete", RemoveFiles, deleting, (*Server).deleteBackups},
			{"POST", "/api/v1/storage/destinations/:id/cleanup-orphans", RemoveFiles, cleanupTime, (*Server).cleanupOrphans},
			{"GET", "/api/v1/storage/audit", Read, quick, (*Server).listAudit},
			{"GET", "/api/v1/storage/stats", Read, quick, (*Server).storageStats},
			{"POST", "/api/v1/storage/sync", Edit, quick, (*Server).startSyncs},
			{"GET", "/api/v1/storage/syncs", Read, quick, (*Server).listSyncs},
			{"GET", "/api/v1/storage/syncs/:id", Read, quick, (*Server).getSync},
			{"DELETE", "/api/v1/storage/syncs/:id", Edit, quick, (*Server).cancelSync},
			{"GET", "/api/v1/storage/events", Read, noTimeout, (*Server).streamEvents},
			{"POST", "/api/v1/catalog/import", FeedWrite, noTimeout, (*Server).importRecords},
			{"GET", "/api/v1/admin/tokens", Operate, quick, (*Server).listTokens},
			{"POST", "/api/v1/admin/tokens", Operate, quick, (*Server).createToken},
			{"DELETE", "/api/v1/admin/tokens/:id", Operate, quick, (*Server).deleteToken},
			{"POST", "/api/v1/admin/keys/rotate", Operate, remote, (*Server).rotateKeys},
			{"GET", "/api/v1/admin/cluster", Operate, quick, (*Server).clusterStatus},
			{"DELETE", "/api/v1/admin/cluster/:id", Operate, remote, (*Server).removeNode},
			{"GET", "/api/v1/openapi.json", Public, quick, (*Server).showOpenAPI},
			{"GET", "/healthz", Public, quick, (*Server).healthz},
			{"GET", "/readyz", Public, quick, (*Server).readyz},
			{"GET", "/metrics", Public, quick, (*Server).showMetrics},
		},
		feedRoutes(),
	)
}

func (s *Server) newRouter() *httprouter.Router {
	r := httprouter.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	r.HandleOPTIONS = false
	for _, route := range routes() {
		r.Handle(route.method, route.path, s.serve(&route))
		if route.method == http.MethodGet && route.access == Public {
			r.Handle(http.MethodHead, route.path, s.serve(&route)) // load balancers probe so
		}
	}
	unknown := &route{path: "none", access: Public, timeout: quick, handle: func(_ *Server, c *call) error {
		return &Error{Code: CodeNotFound, Message: "No such endpoint: " + c.Request.Method + " " + c.Request.URL.Path}
	}}
	r.NotFound = handler(s.serve(unknown))
	wrong := &route{path: "none", access: Public, timeout: quick, handle: func(_ *Server, c *call) error {
		// The router set it, and adds OPTIONS, which we do not answer.
		methods := strings.Split(c.Header().Get("Allow"), ", ")
		allowed := strings.Join(slices.DeleteFunc(methods, func(m string) bool { return m == http.MethodOptions }), ", ")
		c.Header().Set("Allow", allowed)
		return &Error{Code: CodeMethod, Message: c.Request.Method + " is not allowed here; allowed: " + allowed}
	}}
	r.MethodNotAllowed = handler(s.serve(wrong))
	return r
}

func handler(h httprouter.Handle) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h(w, r, nil) })
}
