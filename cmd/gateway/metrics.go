package main

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
