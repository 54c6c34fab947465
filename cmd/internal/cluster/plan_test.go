package cluster

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestOnePartitionWithFewerReplicasIsDrift(t *testing.T) {
	for want, partitions := range map[string]kadm.PartitionDetails{
		"3":      {0: {Replicas: []int32{1, 2, 3}}, 1: {Replicas: []int32{2, 3, 1}}},
		"1 to 3": {0: {Replicas: []int32{1, 2, 3}}, 1: {Replicas: []int32{2}}, 2: {Replicas: []int32{3, 1}}},
	} {
		if got := replicasOf(partitions); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
