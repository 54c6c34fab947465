// Package demo makes a system live: it registers the sample people, lets them move, be corrected, refused, repeated and
// sent as garbage, shows what happens, and then checks with its own reading of the topics that every command had exactly
// one outcome and that everybody who must know agrees. It talks to the system as any producer and reader would, through
// topics, and knows nothing of processors' insides.
package demo

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/sample"
	"utopia/processors"
	"utopia/schemas"
)

// Config says which system to enliven and where to show it.
type Config struct {
	Client        []kgo.Opt
	IDs           schemas.IDs
	Customers     *processors.View[*schemas.CustomerState]
	Billing       *processors.View[*schemas.BillingState]
	Notifications *processors.View[*schemas.NotificationState]
	// Confirm takes the link out of the newest mail that asks this customer to confirm, and returns the change it
	// confirms and its expiry; ok is false while there is no such mail.
	Confirm func(customer, email string) (change string, expiresAt time.Time, ok bool)
	Seed    uint64
	// RunID makes this run's command ids different from an earlier run's on the same data.
	RunID string
	// Rate is how many things happen a second while people move (0 means 400), Steps how many in all (0 means 4,000), and
	// People how many of the sample take part (0 means all).
	Rate, Steps, People int
	// Out shows progress and the live screen; Live says that it is a terminal whose lines can be overwritten.
	Out    io.Writer
	Live   bool
	Logger *slog.Logger
}

// Report is what a run did and found. Its JSON form is what `utopia up --demo --exit -o json` prints.
type Report struct {
	Commands      int      `json:"commands"`      // distinct commands on the commands topics, unreadable records included
	Outcomes      int      `json:"outcomes"`      // of these, how many have exactly one outcome
	Accepted      int      `json:"accepted"`      //
	Refused       int      `json:"refused"`       //
	Repeats       int      `json:"repeats"`       // answers given again
	DeadLetters   int      `json:"deadLetters"`   //
	Moved         int      `json:"moved"`         // found in the wrong partition and sent on
	Facts         int      `json:"facts"`         // from the system of record
	Mails         int      `json:"mails"`         // handed to the mail server
	Customers     int      `json:"customers"`     // in the view
	Disagreements int      `json:"disagreements"` // customers whose billing or notification says something else
	Seconds       float64  `json:"seconds"`       //
	Problems      []string `json:"problems,omitempty"`
}

// OK says whether the promise held.
func (r Report) OK() bool {
	return r.Commands > 0 && r.Commands == r.Outcomes && r.Disagreements == 0 && len(r.Problems) == 0
}

// quietAfter is how long a system may take to answer everything once the stream has ended.
const quietAfter = 90 * time.Second

// Run enlivens the system, waits until it is quiet, and checks it.
func Run(ctx context.Context, cfg Config) (Report, error) {
	started := time.Now()
	people, err := sample.People()
	if err != nil {
		return Report{}, fmt.Errorf("sample: %w", err)
	}
	if cfg.Rate == 0 {
		cfg.Rate = 400
	}
	if cfg.Steps == 0 {
		cfg.Steps = 4000
	}
	if cfg.People > 0 {
		people = people[:min(cfg.People, len(people))]
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t, err := newTracker(ctx, cfg)
	if err != nil {
		return Report{}, err
	}
	defer t.close()
	go t.run(ctx)

	tr, err := newTraffic(ctx, cfg, t, people, rand.New(rand.NewPCG(cfg.Seed, 7))) //nolint:gosec // a demo's dice
	if err != nil {
		return Report{}, err
	}
	defer tr.close()
	screen := newScreen(cfg, t, tr)
	defer screen.close()

	if err := tr.register(ctx, screen.progress); err != nil {
		return Report{}, err
	}
	if err := t.waitAnswered(ctx, tr.sentCommands, quietAfter); err != nil {
		return Report{}, fmt.Errorf("registering the sample: %w", err)
	}
	screen.now("people move, are corrected, refused, repeated; some send garbage")
	go screen.run(ctx)
	if err := tr.live(ctx); err != nil {
		return Report{}, err
	}
	screen.now("nobody sends any more: waiting until everything is answered and all agree")
	problems := t.settle(ctx, cfg, quietAfter)
	screen.close()
	report := t.report(cfg)
	report.Problems = append(report.Problems, problems...)
	report.Seconds = time.Since(started).Seconds()
	return report, ctx.Err()
}
