package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	realkafka "utopia/integration/kafka"
)

// kafkaVersion is that of package integration/kafka.
const kafkaVersion = "4.3.0"

// cluster starts a Kafka of one node, unless one was named, and returns what stops it.
func (b *bench) cluster(ctx context.Context, k *kafka) (stop func(), err error) {
	if k.brokers != "" {
		return func() {}, nil
	}
	b.say("a Kafka starts; the first time it is downloaded")
	c, err := realkafka.Run(ctx, filepath.Join(b.dir, "kafka"), realkafka.Options{Heap: "1g", Warm: true})
	if err != nil {
		return nil, err
	}
	k.brokers, k.brokerPID = c.Brokers(), child("kafka.Kafka")
	return c.Close, nil
}

// child is the child process that runs a Java class; 0: none, or /proc is not mounted.
func child(class string) int {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range all {
		stat, err := os.ReadFile(name) //nolint:gosec // the kernel's
		if err != nil {
			continue // it has ended
		}
		rest := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		command, err := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
		if err != nil || len(rest) < 2 || rest[1] != strconv.Itoa(os.Getpid()) || !strings.Contains(string(command), class) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		return pid
	}
	return 0
}

// moduleRoot is the directory of go.mod.
func moduleRoot() (string, error) {
	cache, err := realkafka.Cache()
	if err != nil {
		return "", fmt.Errorf("the twin is built from source: %w", err)
	}
	return filepath.Dir(filepath.Dir(cache)), nil
}
