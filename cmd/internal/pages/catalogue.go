package pages

import (
	"net/http"
	"strconv"

	"utopia/cmd/internal/catalogue"
	"utopia/topics"
)

// service is whose topics, or schemas, they are.
type service struct {
	Name   string
	Topics []catalogue.TopicNow
}

// topics lists every topic by service; dead letters are told with the topic that they come from.
func (h *handler) topics(w http.ResponseWriter, _ *http.Request) {
	var all []service
	for _, t := range catalogue.Topics(h.cfg.Clerk.Live) {
		if t.Kind == string(topics.DeadLetters) {
			continue
		}
		if n := len(all); n == 0 || all[n-1].Name != t.Owner {
			all = append(all, service{Name: t.Owner})
		}
		last := &all[len(all)-1]
		last.Topics = append(last.Topics, t)
	}
	h.show(w, http.StatusOK, "topics", page{Title: "Topics", Place: "/topics", Data: all})
}

func (h *handler) topic(w http.ResponseWriter, r *http.Request) {
	t, ok := catalogue.TopicByName(r.PathValue("topic"), h.cfg.Clerk.Live)
	if !ok {
		h.note(w, http.StatusNotFound, "No such topic", note{"The catalogue has no topic of this name.", "/topics", "All topics"})
		return
	}
	h.show(w, http.StatusOK, "topic", page{Title: t.Name, Place: "/topics", Data: t})
}

func (h *handler) schemas(w http.ResponseWriter, _ *http.Request) {
	h.show(w, http.StatusOK, "schemas", page{Title: "Schemas", Place: "/schemas", Data: catalogue.Schemas()})
}

func (h *handler) schema(w http.ResponseWriter, r *http.Request) {
	s, ok := catalogue.SchemaByName(r.PathValue("name"))
	if !ok {
		h.note(w, http.StatusNotFound, "No such schema", note{"No record of this name was ever released.", "/schemas", "All schemas"})
		return
	}
	h.show(w, http.StatusOK, "schema", page{Title: s.Name, Place: "/schemas", Data: s})
}

// number writes a number with commas between thousands.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
