package main

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"utopia/schemas"
	"utopia/topics"
)

// twin is the Kafka Streams application under streams/, built.
type twin struct {
	classpath string
	ids       []string // schema ids, as arguments
}

// buildTwin builds it with Maven, which downloads what it needs at the first time.
func buildTwin(ctx context.Context) (*twin, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", filepath.Join(root, "integration", "bench", "streams", "pom.xml"), "package")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the Kafka Streams twin: %w\n%s", err, out)
	}
	built := filepath.Join(root, ".cache", "bench", "streams")
	t := &twin{classpath: filepath.Join(built, "classes") + ":" + filepath.Join(built, "libs", "*")}
	ids := schemas.NewMemoryIDs()
	for _, topic := range append(serviceOutputs(), topics.CustomerCommands.Name) {
		named, _ := topics.ByName(topic)
		if named.Private() {
			continue
		}
		for _, record := range named.Records {
			subject := topic + "-" + record
			id, err := ids.ID(subject)
			if err != nil {
				return nil, err
			}
			t.ids = append(t.ids, "id."+subject+"="+strconv.Itoa(id))
		}
	}
	return t, nil
}

// Names of the twin, by what is set beside the defaults.
const (
	streamsName   = "streams"
	streamsCached = "streamsCached"
	streamsALO    = "streamsAtLeastOnce"
	streamsAtOnce = "streamsAtOnce" // tasks move at once, not when a warm-up replica has caught up
)

func isTwin(contender string) bool { return strings.HasPrefix(contender, streamsName) }

// application is the twin's application id: one per trial, because a closed Streams application stays in its group until
// the session times out, and a group with members cannot be deleted.
func application(trial int) string { return fmt.Sprintf("bench-streams-%d", trial) }

// changelog is the twin's table topic.
func changelog(application string) string { return application + "-customers-changelog" }

// start starts an instance.
func (t *twin) start(ctx context.Context, application string, s spec) (*process, error) {
	guarantee := "exactly_once_v2"
	if s.Contender == streamsALO {
		guarantee = "at_least_once"
	}
	session := s.Session
	if session == 0 {
		session = 45 * time.Second // the default
	}
	lag := "10000" // the default of acceptable.recovery.lag
	if s.Contender == streamsAtOnce {
		lag = strconv.FormatInt(math.MaxInt64, 10)
	}
	// A heap of a fixed limit, so that memory can be compared: without one a JVM takes a quarter of the machine.
	args := append([]string{
		"-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", t.classpath, "utopia.bench.Twin",
		"brokers=" + s.Broker, "application=" + application, "dir=" + s.Dir, "instance=" + s.instance(),
		"guarantee=" + guarantee, "commit=" + strconv.FormatInt(s.Commit.Milliseconds(), 10), "threads=2",
		"session=" + strconv.FormatInt(session.Milliseconds(), 10), "cache=" + strconv.FormatBool(s.Contender == streamsCached), "lag=" + lag,
	}, t.ids...)
	return startCommand(exec.CommandContext(ctx, "java", args...))
}
