package audit

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/linkedin/goavro/v2"
)

// schema is one schema file.
type schema struct {
	name  string // of the record
	codec *goavro.Codec
}

// schemaFiles finds the schema of a value: by fingerprint in private topics, by the registry's id in the others.
type schemaFiles struct {
	byFingerprint map[uint64]*schema
	registry      string
	http          *http.Client
	byID          map[uint32]*schema
}

// readSchemas reads every schema file below dir.
func readSchemas(dir, registry string) (*schemaFiles, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*.avsc"))
	if err != nil {
		return nil, fmt.Errorf("list schema files: %w", err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no schema file (<topic>/<Record>.<revision>.avsc) in %s", dir)
	}
	f := &schemaFiles{byFingerprint: map[uint64]*schema{}, registry: strings.TrimSuffix(registry, "/"), http: http.DefaultClient, byID: map[uint32]*schema{}}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read a schema file: %w", err)
		}
		s, fingerprint, err := newSchema(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		f.byFingerprint[fingerprint] = s
	}
	return f, nil
}

func newSchema(text string) (*schema, uint64, error) {
	codec, err := goavro.NewCodec(text)
	if err != nil {
		return nil, 0, err
	}
	var parsed any
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		return nil, 0, err
	}
	var b strings.Builder
	canonical(&b, parsed, "")
	name, _ := parsed.(map[string]any)
	return &schema{name: fullName(name, ""), codec: codec}, crc64Avro([]byte(b.String())), nil
}

// Errors of a value that is not what its topic promises.
var (
	errFraming  = errors.New("neither Confluent framing nor single-object encoding")
	errTrailing = errors.New("bytes after the record")
	errNoSchema = errors.New("the schema is in no schema file")
)

// decode returns the record of a value: its name and its fields, normalised.
func (f *schemaFiles) decode(ctx context.Context, raw []byte) (string, map[string]any, error) {
	var s *schema
	var body []byte
	switch {
	case len(raw) >= 10 && raw[0] == 0xC3 && raw[1] == 0x01: // Avro 1.12, single-object encoding
		s, body = f.byFingerprint[binary.LittleEndian.Uint64(raw[2:])], raw[10:]
		if s == nil {
			return "", nil, errNoSchema
		}
	case len(raw) >= 5 && raw[0] == 0: // Confluent wire format
		var err error
		if s, err = f.registered(ctx, binary.BigEndian.Uint32(raw[1:])); err != nil {
			return "", nil, err
		}
		body = raw[5:]
	default:
		return "", nil, errFraming
	}
	native, rest, err := s.codec.NativeFromBinary(body)
	if err != nil {
		return s.name, nil, errors.New("the body does not match its schema") // goavro's text may quote the value
	}
	if len(rest) > 0 {
		return s.name, nil, errTrailing
	}
	fields, ok := normal(native).(map[string]any)
	if !ok {
		return s.name, nil, errors.New("not a record")
	}
	return s.name, fields, nil
}

// registered asks the registry for the schema of an id, once. A schema that is in no schema file is an error: the files
// are the contract.
func (f *schemaFiles) registered(ctx context.Context, id uint32) (*schema, error) {
	if s, ok := f.byID[id]; ok {
		if s == nil {
			return nil, errNoSchema
		}
		return s, nil
	}
	if f.registry == "" {
		return nil, errors.New("a topic is in Confluent framing: give the registry's URL")
	}
	text, found, err := f.ask(ctx, id)
	if err != nil {
		return nil, err
	}
	f.byID[id] = nil
	if !found {
		return nil, errNoSchema
	}
	_, fingerprint, err := newSchema(text)
	if err != nil {
		return nil, fmt.Errorf("schema %d of the registry: %w", id, err)
	}
	f.byID[id] = f.byFingerprint[fingerprint]
	if f.byID[id] == nil {
		return nil, errNoSchema
	}
	return f.byID[id], nil
}

// errRegistry is a registry that does not answer: nothing can be said about the log then.
var errRegistry = errors.New("the schema registry does not answer")

func (f *schemaFiles) ask(ctx context.Context, id uint32) (text string, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/schemas/ids/%d", f.registry, id), nil)
	if err != nil {
		return "", false, err
	}
	response, err := f.http.Do(request)
	if err != nil {
		return "", false, fmt.Errorf("%w: %w", errRegistry, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", false, fmt.Errorf("%w: %w", errRegistry, err)
	}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return "", false, nil
	default:
		return "", false, fmt.Errorf("%w: %s", errRegistry, response.Status)
	}
	var answer struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", false, fmt.Errorf("%w: %w", errRegistry, err)
	}
	return answer.Schema, true, nil
}
