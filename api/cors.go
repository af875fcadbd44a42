package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/rs/cors"
)

// corsAge is how long browsers may keep the response to a preflight request, in seconds.
// Chrome keeps it no longer.
const corsAge = 7200

// allowOrigins returns the middleware that lets pages of other origins use the API, nil
// without any. No response allows credentials: tokens are in headers that the page itself
// sets, so that no page acts for a user without having a token.
func allowOrigins(origins []string) (*cors.Cors, error) {
	if len(origins) == 0 {
		return nil, nil //nolint:nilnil // the library would allow all
	}
	for _, origin := range origins {
		if err := checkOrigin(origin); err != nil {
			return nil, err
		}
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"Allow", "Content-Disposition", "ETag", replayedHeader, "Retry-After", "X-Request-Id"},
		MaxAge:         corsAge,
	}), nil
}

// CheckOrigins returns an error unless all are origins or patterns of them.
func CheckOrigins(origins []string) error {
	_, err := allowOrigins(origins)
	return err
}

// checkOrigin checks an origin, or a pattern with one asterisk.
func checkOrigin(origin string) error {
	u, err := url.Parse(strings.Replace(origin, "*", "1", 1))
	if origin == "*" || err == nil && u.Host != "" && *u == (url.URL{Scheme: u.Scheme, Host: u.Host}) &&
		(u.Scheme == "http" || u.Scheme == "https") && !strings.Contains(u.Host, "*") {
		return nil
	}
	return fmt.Errorf("%q is not an origin: give for example https://console.example.com, with one * for a part of the host or the port, or * alone for all", origin)
}

// allowsOrigin reports whether a request comes from no page, from one of the same host, or
// from an allowed origin. Browsers let pages open websockets to any host.
func (s *Server) allowsOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || s.cors != nil && s.cors.OriginAllowed(r) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}
