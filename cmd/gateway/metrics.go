package main

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"utopia/cmd/internal/gateway"
	"utopia/cmd/internal/service"
)

// observe counts requests by route and status; never by who or about whom.
func observe(e *service.Env) func(route string, status int, took time.Duration) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "utopia", Subsystem: "http", Name: "requests_total", Help: "Requests to the API, by route and status.",
	}, []string{"route", "status"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "utopia", Subsystem: "http", Name: "request_seconds", Help: "Time until a request was answered; of a command, with the wait for its outcome.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .02, .03, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"route"})
	e.Metrics.Register(requests, seconds)
	return func(route string, status int, took time.Duration) {
		requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
		seconds.WithLabelValues(route).Observe(took.Seconds())
	}
}

// watch tells how many callers are connected to the feed, and what it could not tell them.
func watch(e *service.Env, g *gateway.Gateway) {
	e.Metrics.Register(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "utopia", Subsystem: "feed", Name: "streams", Help: "Callers that are connected to a stream: of changes, or of how records flow.",
		}, func() float64 { return float64(g.Streams()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "utopia", Subsystem: "feed", Name: "skipped_total", Help: "Records of customer.changes.v1 that this release does not know or cannot read, and did not tell on.",
		}, func() float64 { return float64(g.Untold()) }),
	)
}
