package api

import "net/http"

// probes has the handlers for orchestrators and Prometheus.
type probes struct {
	check     func() error
	collected http.Handler
}

// healthz reports that the process is alive.
func healthz(c *call) error {
	c.sendJSON(http.StatusOK, []byte(`{"status":"ok"}`+"\n"))
	return nil
}

// ready reports whether this node can serve requests.
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
