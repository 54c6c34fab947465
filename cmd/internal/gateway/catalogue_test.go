package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"utopia/cmd/internal/catalogue"
	"utopia/cmd/internal/gateway"
	"utopia/topics"
)

// What there is is told with how much of it there is; without a cluster it is still told what there is.
func TestWhatThereIs(t *testing.T) {
	g := start(t).gateway()
	g.register("c-1")
	gateway.Eventually(t, 30*time.Second, "a registered customer is counted", func() bool {
		a := g.do(http.MethodGet, "/v1/topics/customer.commands.v1", "")
		one := gateway.Decoded[catalogue.TopicNow](t, a)
		return a.Status == http.StatusOK && one.Now != nil && one.Now.End == 1 && one.Now.Partitions == topics.EmbeddedPartitions && *one.Now.DeadOf == 0
	})
	type list struct{ Topics []catalogue.TopicNow }
	for _, one := range gateway.Decoded[list](t, g.do(http.MethodGet, "/v1/topics", "")).Topics {
		if one.Now == nil {
			t.Errorf("%s was not measured", one.Name)
		}
	}
	for _, path := range []string{"/v1/schemas", "/v1/schemas/utopia.customer.CustomerMoved", "/v1/schemas/customer.state.v1-utopia.customer.CustomerState"} {
		if a := g.do(http.MethodGet, path, ""); a.Status != http.StatusOK {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	for _, path := range []string{"/v1/topics/no.such.v1", "/v1/schemas/nobody"} {
		if a := g.do(http.MethodGet, path, ""); a.Status != http.StatusNotFound || a.Problem(t).Code != "not_found" {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	alone := gateway.Bare(t, func(c *gateway.Config) { c.Open = true })
	a := gateway.Local(t, alone.Handler(), http.MethodGet, "/v1/topics", "")
	if all := gateway.Decoded[list](t, a).Topics; a.Status != http.StatusOK || len(all) != len(topics.All()) || all[0].Now != nil {
		t.Errorf("%d, %d topics without a cluster", a.Status, len(all))
	}
}
