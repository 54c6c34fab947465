//go:build kill

package kill

import (
	"flag"
	"testing"
	"time"

	"utopia/integration/live"
)

var (
	proving   = flag.Bool("prove", false, "run TestProve")
	minutes   = flag.Float64("minutes", 5, "how long TestProve lets everything happen, at least")
	kills     = flag.Int("kills", 100, "lives that must end with SIGKILL in TestProve")
	instances = flag.Int("instances", 8, "instances of the customer service that come and go in TestProve")
	rate      = flag.Int("rate", 100, "records a second in TestProve")
)

// All faults of processes at once, for as long as it is told: make prove-processes.
func TestProve(t *testing.T) {
	if !*proving {
		t.Skip("takes long: make prove-processes")
	}
	s := live.Seed(t, *seed)
	// kfake keeps the place of a member that is gone for the rebalance timeout, five minutes, where Kafka takes the session's.
	storm := live.Storm{
		Seed: s, Kills: *kills, For: time.Duration(*minutes * float64(time.Minute)), Instances: *instances, Rate: *rate, Returns: true,
	}
	storm.Run(newWorld(t), "kfake")
}
