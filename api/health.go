package api

import "net/http"

// probes has the handlers for orchestrators and Prometheus.
type probes struct {
	check     func() error
	collected http.Handler
}

// healthz says that the process lives; an orchestrator restarts it otherwise.
func healthz(c *call) error {
	c.sendJSON(http.StatusOK, []byte(`{"status":"ok"}`+"\n"))
	return nil
}

// ready says whether requests should be sent to this node.
func (p *probes) ready(c *call) error {
	if err := p.check(); err != nil {
		return err
	}
	c.sendJSON(http.StatusOK, []byte(`{"status":"ready"}`+"\n"))
	return nil
}

func (p *probes) metrics(c *call) error {
	p.collected.ServeHTTP(c, c.Request)
	return nil
}
