//go:build synctests

package eos

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The topic is made anew, shorter, while a view runs and while it does not: rows of the old one must not be shown.
func TestViewOfATopicThatWasMadeAnew(t *testing.T) { synctest.Test(t, viewOfATopicMadeAnew) }

func viewOfATopicMadeAnew(t *testing.T) {
	c := newLogClusterOn(t, kfake.SeedTopics(1, "t"))
	client, err := kgo.NewClient(c.opts...)
	mustDo(t, err)
	defer client.Close()
	adm := kadm.NewClient(client)
	again := func(rows ...*kgo.Record) {
		_, err := adm.DeleteTopics(t.Context(), "t")
		mustDo(t, err)
		_, err = adm.CreateTopic(t.Context(), 1, 1, nil, "t")
		mustDo(t, err)
		c.write(t, kgo.TryCommit, rows...)
	}
	cfg := ViewConfig{Client: c.opts, Topic: "t", Dir: "views", FS: vfs.NewMem()}
	for i := range 10 {
		c.write(t, kgo.TryCommit, rec("t", 0, fmt.Sprint("old-", i), "old"))
	}
	v, stop := runView(t, cfg)
	waitFor(t, v, "old-9", "old")
	stop()

	again(rec("t", 0, "new", "1"))
	v, stop = runView(t, cfg)
	waitFor(t, v, "new", "1")
	if diff := cmp.Diff(map[string]string{"new": "1"}, viewRows(t, v)); diff != "" {
		t.Error(diff)
	}

	again(rec("t", 0, "newer", "1"), rec("t", 0, "more", "1"), rec("t", 0, "than", "1"), rec("t", 0, "before", "1"))
	waitFor(t, v, "newer", "1")
	if diff := cmp.Diff(map[string]string{"newer": "1", "more": "1", "than": "1", "before": "1"}, viewRows(t, v)); diff != "" {
		t.Error(diff)
	}
	stop()
}
