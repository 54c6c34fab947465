package kafka

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken from below the range from which the kernel gives outgoing connections theirs, so that a node that is
// down finds its port free when it comes back.
const (
	firstPort = 15000
	lastPort  = 32000
)

// freePorts returns n different loopback ports that nothing listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		if tries == 1000 {
			return nil, fmt.Errorf("kafka: no %d free ports between %d and %d", n, firstPort, lastPort)
		}
		port := firstPort + rand.IntN(lastPort-firstPort)
		l, err := net.Listen("tcp", loopback(port)) //nolint:noctx // a listener that is closed at once
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }() // all are held until all are found, so that they differ
		ports = append(ports, port)
	}
	return ports, nil
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
