package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/run"
	"utopia/schemas"
	"utopia/topics"
)

// shown is a record as consume prints it. It is read by produce, too.
type shown struct {
	Topic     string          `json:"topic"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
	At        string          `json:"at"`
	Key       string          `json:"key"`
	Type      string          `json:"type,omitempty"`
	Value     json.RawMessage `json:"value"`
	Problem   string          `json:"problem,omitempty"` // why there is no value
	Bytes     string          `json:"bytes,omitempty"`   // base64, where there is no value
}

// reader turns records of any of our topics into JSON, by the schema they were
// written with.
type reader struct{ *api.Records }

func newReader(ids schemas.IDs) *reader { return &reader{api.NewRecords(ids)} }

// show never fails for a record: what cannot be read is shown as bytes with the
// reason. A registry that does not answer is an error.
func (r *reader) show(rec *kgo.Record) (shown, error) {
	s := shown{
		Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, At: stamp(rec.Timestamp), Key: cluster.Printable(rec.Key),
		Value: json.RawMessage("null"),
	}
	if rec.Value == nil {
		return s, nil
	}
	name, value, err := r.JSON(rec.Topic, rec.Value)
	switch {
	case err == nil:
		s.Type, s.Value = name, value
	case !errors.Is(err, schemas.ErrRegistryDown):
		s.Problem, s.Bytes = err.Error(), base64.StdEncoding.EncodeToString(rec.Value)
		err = nil
	}
	return s, err
}

// writer turns JSON into records of one topic.
type writer struct {
	topic topics.Topic
	codec *schemas.Codec
	fixed string // the record type, if the person or the topic fixes it
}

// newWriter checks topic and type before anything connects.
func newWriter(topic, record string) (*writer, error) {
	t, ok := topics.ByName(topic)
	switch {
	case !ok:
		return nil, run.Usagef("%q is not in the catalogue; see utopia topics list", topic)
	case t.Private():
		return nil, run.Usagef("%s is private: nobody but the %s service writes it", topic, t.Owner)
	case t.Kind == topics.DeadLetters:
		return nil, run.Usagef("%s is for dead letters; utopia dlq retry sends one again", topic)
	}
	w := &writer{topic: t}
	if record == "" && len(t.Records) == 1 {
		record = t.Records[0]
	}
	if record != "" {
		var err error
		if w.fixed, err = recordType(t, record); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// recordType accepts a full name or its last word.
func recordType(t topics.Topic, name string) (string, error) {
	for _, r := range t.Records {
		if r == name || strings.HasSuffix(r, "."+name) {
			return r, nil
		}
	}
	return "", run.Usagef("%s carries no %q, but %s", t.Name, name, strings.Join(t.Records, ", "))
}

// open looks the schemas up.
func (w *writer) open(ids schemas.IDs) (err error) {
	w.codec, err = schemas.NewCodec(w.topic.Name, ids)
	return err
}

// encode turns one JSON text into key and value. A text with type and value, as
// consume prints it, brings its own type. A command without an id is given one,
// which is returned.
func (w *writer) encode(text json.RawMessage) (key string, value []byte, id string, err error) {
	record := w.fixed
	var wrapped struct {
		Type  string          `json:"type"`
		Value json.RawMessage `json:"value"`
	}
	if json.Unmarshal(text, &wrapped) == nil && wrapped.Type != "" && wrapped.Value != nil {
		text = wrapped.Value
		if record, err = recordType(w.topic, wrapped.Type); err != nil {
			return "", nil, "", err
		}
	}
	if record == "" {
		return "", nil, "", run.Usagef("%s carries several types, say which: --type %s", w.topic.Name, strings.Join(lastWords(w.topic.Records), ", "))
	}
	if w.topic.Kind == topics.Command {
		if text, id, err = withCommandID(text); err != nil {
			return "", nil, "", err
		}
	}
	if value, err = w.codec.AppendJSON(nil, record, text); err != nil {
		return "", nil, "", err
	}
	key, err = w.codec.Key(value)
	return key, value, id, err
}

func lastWords(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, n[strings.LastIndexByte(n, '.')+1:])
	}
	return out
}

// withCommandID returns the command with an id in its metadata.
func withCommandID(text json.RawMessage) (json.RawMessage, string, error) {
	var record, meta map[string]json.RawMessage
	if err := json.Unmarshal(text, &record); err != nil {
		return nil, "", errors.New("want a JSON object, {…}")
	}
	if m := record["metadata"]; m != nil {
		if err := json.Unmarshal(m, &meta); err != nil {
			return nil, "", errors.New("metadata: want a JSON object, {…}")
		}
	}
	var id string
	if json.Unmarshal(meta["commandId"], &id) == nil && id != "" {
		return text, id, nil
	}
	id = uuid.Must(uuid.NewV7()).String()
	if meta == nil {
		meta = map[string]json.RawMessage{}
	}
	var err error
	if meta["commandId"], err = json.Marshal(id); err != nil {
		return nil, "", err
	}
	if record["metadata"], err = json.Marshal(meta); err != nil {
		return nil, "", err
	}
	text, err = json.Marshal(record)
	return text, id, err
}

// completeRecordTopics offers the topics that have schemas.
func completeRecordTopics() cobra.CompletionFunc {
	return completeTopics(func(t topics.Topic) bool { return t.Kind != topics.DeadLetters })
}

// completeWritable offers the topics that people write, and after them nothing.
func completeWritable(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return completeTopics(func(t topics.Topic) bool {
		return slices.Contains([]topics.Kind{topics.Command, topics.Change}, t.Kind)
	})(cmd, args, word)
}
