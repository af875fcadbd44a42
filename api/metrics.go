package api

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	clients  *prometheus.GaugeVec
	dropped  *prometheus.CounterVec
	// unresolved counts records that were refused by an import or a PUT.
	unresolved prometheus.Counter
	late       prometheus.Counter
	limited    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firescan_http_requests_total", Help: "Requests served, by route, method and status class.",
		}, []string{"route", "method", "class"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "firescan_http_request_seconds", Help: "Time to serve requests, in seconds.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firescan_http_requests_in_flight", Help: "Requests in progress.",
		}),
		clients: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "firescan_event_clients", Help: "Connected event clients, by protocol.",
		}, []string{"protocol"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firescan_event_clients_dropped_total", Help: "Event clients dropped because they were too slow, by protocol.",
		}, []string{"protocol"}),
	}
	m.unresolved = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "firescan_records_unresolved_total", Help: "Records refused because a location is in no bucket of their organization.",
	})
	m.late = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "firescan_http_requests_late_total", Help: "Changes refused because they had waited in a frozen node.",
	})
	m.limited = newLimited()
	err := errors.Join(r.Register(m.limited), r.Register(m.unresolved), r.Register(m.late), r.Register(m.requests), r.Register(m.seconds), r.Register(m.inFlight), r.Register(m.clients), r.Register(m.dropped))
	if err != nil {
		return nil, fmt.Errorf("register the metrics of the API: %w", err)
	}
	return m, nil
}

func (m *metrics) served(method, path string, status int, took time.Duration) {
	if method == "" {
		method = "any"
	}
	m.requests.WithLabelValues(path, method, class(status)).Inc()
	m.seconds.WithLabelValues(path).Observe(took.Seconds())
}

func class(status int) string {
	switch {
	case status == 0, status == statusClientClosed:
		return "aborted"
	case status < 300:
		return "2xx"
	case status < 400:
		return "3xx"
	case status < 500:
		return "4xx"
	}
	return "5xx"
}

// newLimited returns the counter of refusals.
func newLimited() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firescan_limited_total", Help: "Requests refused above a quota, by quota; of stored responses, those forgotten early; of the audit, entries that were only counted.",
	}, []string{"quota"})
}
