package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"utopia/cmd/internal/mailer"
	"utopia/cmd/internal/service"
)

// hooks counts what the mailer does.
func hooks(e *service.Env) mailer.Hooks {
	attempts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "utopia", Subsystem: "mail", Name: "attempts_total", Help: "Attempts to hand a mail over: sent, or the code of the failure.",
	}, []string{"code"})
	reported := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "utopia", Subsystem: "mail", Name: "finished_seconds", Help: "Time from the acceptance of a mail until its fate was reported.",
		Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600, 21600, 86400},
	}, []string{"result"})
	held := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "utopia", Subsystem: "mail", Name: "held", Help: "Mails taken up and not finished; most of them wait for their next attempt.",
	})
	e.Metrics.Register(attempts, reported, held)
	return mailer.Hooks{
		Attempt:  func(code string) { attempts.WithLabelValues(code).Inc() },
		Reported: func(result string, since time.Duration) { reported.WithLabelValues(result).Observe(since.Seconds()) },
		Held:     func(mails int) { held.Set(float64(mails)) },
	}
}
