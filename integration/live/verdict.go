package live

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/integration/traffic"
)

// report is what the checker says.
type report struct {
	Counted    map[string]int64 `json:"counted"`
	Violations []map[string]any `json:"violations"`
}

// Check runs the independent checker over the log and the logs.
func (w *World) Check(aborts bool, logs ...string) map[string]int64 {
	w.T.Helper()
	args := []string{"-brokers", w.Brokers, "-registry", w.Registry, "-schemas", filepath.Join(root(w.T), "schemas"), "-canary", traffic.Canary, "-o", "json"}
	if aborts {
		args = append(args, "-want-aborts")
	}
	for _, log := range logs {
		args = append(args, "-logs", log)
	}
	ctx, cancel := context.WithTimeout(w.T.Context(), 15*time.Minute) // a long run leaves a long log
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(w.Bin, "check"), args...)
	out, err := cmd.Output()
	var r report
	if broken := json.Unmarshal(out, &r); broken != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = append(out, exit.Stderr...)
		}
		w.T.Fatalf("the checker: %v, %v\n%s", err, broken, out)
	}
	w.T.Logf("counted: %v", r.Counted)
	for i, v := range r.Violations {
		if i == 20 {
			break
		}
		w.T.Errorf("violation: %v", v)
	}
	if err != nil || len(r.Violations) > 0 {
		w.T.Errorf("the checker found %d violations: %v", len(r.Violations), err)
	}
	return r.Counted
}

// Present checks that every acknowledged record is where the broker said.
func (w *World) Present(acked []*kgo.Record) {
	w.T.Helper()
	type place struct {
		topic     string
		partition int32
		offset    int64
	}
	missing := map[place]string{}
	offsets := map[string]map[int32]kgo.Offset{}
	for _, r := range acked {
		missing[place{r.Topic, r.Partition, r.Offset}] = string(r.Value)
		if offsets[r.Topic] == nil {
			offsets[r.Topic] = map[int32]kgo.Offset{}
		}
		offsets[r.Topic][r.Partition] = kgo.NewOffset().AtStart()
	}
	reader, err := kgo.NewClient(append(w.Options(), kgo.ConsumePartitions(offsets))...)
	if err != nil {
		w.T.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(w.T.Context(), 20*time.Second+time.Duration(len(acked))*time.Millisecond)
	defer cancel()
	for len(missing) > 0 && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			p := place{r.Topic, r.Partition, r.Offset}
			if want, ok := missing[p]; ok && want == string(r.Value) {
				delete(missing, p)
			}
		})
	}
	w.T.Logf("%d acknowledged records", len(acked))
	for p := range missing {
		w.T.Errorf("acknowledged and lost: %s/%d@%d", p.topic, p.partition, p.offset)
	}
}

// Tail is the end of a log.
func Tail(path string) string { return tail(path, 3000) }

func tail(path string, most int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}
