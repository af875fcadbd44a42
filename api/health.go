package api

import "net/http"

// healthz says that the process lives; an orchestrator restarts it otherwise.
func (s *Server) healthz(c *call) error {
	c.sendJSON(http.StatusOK, []byte(`{"status":"ok"}`+"\n"))
	return nil
}

// readyz says whether requests should be sent to this node.
func (s *Server) readyz(c *call) error {
	if err := s.Ready(); err != nil {
		return err
	}
	c.sendJSON(http.StatusOK, []byte(`{"status":"ready"}`+"\n"))
	return nil
}

func (s *Server) showMetrics(c *call) error {
	s.Metrics.ServeHTTP(c, c.Request)
	return nil
}
