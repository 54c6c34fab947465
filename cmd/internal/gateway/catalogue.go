package gateway

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"utopia/cmd/internal/catalogue"
)

// Topics is the catalogue of topics.
type Topics struct {
	Body struct {
		Topics []catalogue.TopicNow `json:"topics" nullable:"false" doc:"By service, each input followed by its dead letters"`
	}
}

// TopicPath names a topic.
type TopicPath struct {
	Topic string `path:"topic" pattern:"^[A-Za-z0-9._-]{1,249}$" example:"customer.changes.v1"`
}

// Topic is one topic.
type Topic struct{ Body catalogue.TopicNow }

// Schemas is every record type.
type Schemas struct {
	Body struct {
		Schemas []catalogue.Schema `json:"schemas" nullable:"false"`
	}
}

// SchemaPath names a record type.
type SchemaPath struct {
	Name string `path:"name" pattern:"^[A-Za-z0-9._-]{1,512}$" doc:"The full name of the record, or the subject under which a registry has it" example:"utopia.customer.CustomerMoved"`
}

// Schema is one record type.
type Schema struct{ Body catalogue.Schema }

// catalogueRoutes tell what there is. How much of it there is comes with it as long as the cluster answers; without, it is still told
// what there is.
func (g *Gateway) catalogueRoutes() {
	add(g, about("list-topics", "/v1/topics", "Every topic: what it is for, who writes and reads it, how it is kept, and how much is in it"),
		func(context.Context, *struct{}) (*Topics, error) {
			out := &Topics{}
			out.Body.Topics = catalogue.Topics(g.meter)
			return out, nil
		})
	add(g, about("get-topic", "/v1/topics/{topic}", "A topic"),
		func(_ context.Context, in *TopicPath) (*Topic, error) {
			t, ok := catalogue.TopicByName(in.Topic, g.meter)
			if !ok {
				return nil, problem(codeNotFound)
			}
			return &Topic{t}, nil
		})
	add(g, about("list-schemas", "/v1/schemas", "Every record type with all its released schemas"),
		func(context.Context, *struct{}) (*Schemas, error) {
			out := &Schemas{}
			out.Body.Schemas = catalogue.Schemas()
			return out, nil
		})
	add(g, about("get-schema", "/v1/schemas/{name}", "A record type: its fields, its released schemas, and which topics carry it"),
		func(_ context.Context, in *SchemaPath) (*Schema, error) {
			s, ok := catalogue.SchemaByName(in.Name)
			if !ok {
				return nil, problem(codeNotFound)
			}
			return &Schema{s}, nil
		})
}

// about describes a route that answers whatever the cluster does.
func about(id, path, summary string) huma.Operation {
	op := query(id, path, summary)
	op.Tags, op.Errors = []string{"catalogue"}, []int{http.StatusNotFound}
	return op
}

// Live tells how much is in the topics.
func (g *Gateway) Live() catalogue.Live { return g.meter }
