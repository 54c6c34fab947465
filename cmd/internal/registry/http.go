package registry

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"utopia/schemas"
)

const (
	contentType = "application/vnd.schemaregistry.v1+json"
	maxRequest  = 4 << 20 // a schema within JSON within JSON, with every quote escaped
)

// Handler serves the REST API of the Confluent schema registry.
func (r *Registry) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, one := range r.routes() {
		mux.Handle(one.pattern, r.serve(one.answer))
	}
	mux.Handle("/", r.serve(func(req *http.Request) (any, error) {
		return nil, errorf(http.StatusNotFound, "HTTP 404 Not Found: %s", req.URL.Path)
	}))
	// A page in a browser must not register schemas on the machine of whoever looks at it.
	return http.NewCrossOriginProtection().Handler(mux)
}

// endpoint answers a request; serve writes the answer.
type endpoint func(*http.Request) (any, error)

type route struct {
	pattern string
	answer  endpoint
}

func (r *Registry) routes() []route {
	return []route{
		{"GET /{$}", constant(struct{}{})},
		{"GET /contexts", constant([]string{"."})},
		{"GET /schemas/types", constant([]string{"AVRO"})},
		{"GET /v1/metadata/id", constant(map[string]any{"scope": map[string]any{"path": []string{}, "clusters": map[string]string{"kafka-cluster": "utopia"}}})},
		{"GET /v1/metadata/version", constant(map[string]string{"version": "utopia", "commitId": ""})},
		{"GET /schemas", r.getSchemas},
		{"GET /schemas/ids/{id}", r.getByID},
		{"GET /subjects", r.getSubjects},
		{"POST /subjects/{subject}", r.postLookup},
		{"GET /config", r.getLevel},
		{"PUT /config", r.putLevel},
		{"DELETE /config", r.deleteLevel},
		{"GET /config/{subject}", r.getLevel},
		{"PUT /config/{subject}", r.putLevel},
		{"DELETE /config/{subject}", r.deleteLevel},
		{"GET /mode", r.getMode},
		{"PUT /mode", r.putMode},
		{"DELETE /mode", r.deleteMode},
		{"GET /mode/{subject}", r.getMode},
		{"PUT /mode/{subject}", r.putMode},
		{"DELETE /mode/{subject}", r.deleteMode},
		{"GET /schemas/ids/{id}/schema", r.getTextByID},
		{"GET /schemas/ids/{id}/subjects", r.getSubjectsByID},
		{"GET /schemas/ids/{id}/versions", r.getVersionsByID},
		{"GET /subjects/{subject}/versions", r.getVersions},
		{"POST /subjects/{subject}/versions", r.postRegister},
		{"GET /subjects/{subject}/versions/{version}", r.getVersion},
		{"GET /subjects/{subject}/versions/{version}/schema", r.getText},
		{"GET /subjects/{subject}/versions/{version}/referencedby", r.getReferencedBy},
		{"DELETE /subjects/{subject}", r.deleteSubject},
		{"DELETE /subjects/{subject}/versions/{version}", r.deleteVersion},
		{"POST /compatibility/subjects/{subject}/versions", r.postCompatible},
		{"POST /compatibility/subjects/{subject}/versions/{version}", r.postCompatible},
	}
}

func constant(v any) endpoint { return func(*http.Request) (any, error) { return v, nil } }

// raw is an answer that is JSON already.
type raw string

func (r *Registry) serve(h endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Body = http.MaxBytesReader(w, req.Body, maxRequest)
		out, err := h(req)
		status := http.StatusOK
		if err != nil {
			e := asError(err)
			status, out = e.Status(), e
			r.log.Debug("schema registry refuses", slog.String("method", req.Method), slog.String("path", req.URL.Path), slog.Int("code", e.Code))
		}
		w.Header().Set("Content-Type", answerType(req))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(status)
		if text, ok := out.(raw); ok {
			_, _ = io.WriteString(w, string(text))
			return
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(out) // the status is sent, the client may be gone
	})
}

// answerType is the registry's own, unless the client asks for plain JSON only.
func answerType(req *http.Request) string {
	accept := req.Header.Get("Accept")
	if strings.Contains(accept, "application/json") && !strings.Contains(accept, "schemaregistry") {
		return "application/json"
	}
	return contentType
}

// body decodes a request. Unknown fields are allowed, as the real registry's clients send more with every release.
func body(req *http.Request, into any) error {
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	allowed := []string{contentType, "application/vnd.schemaregistry+json", "application/json", "application/octet-stream"}
	if err != nil || !slices.Contains(allowed, kind) {
		return errorf(http.StatusUnsupportedMediaType, "HTTP 415 Unsupported Media Type: send %s", contentType)
	}
	dec := json.NewDecoder(req.Body)
	if err := dec.Decode(into); err != nil {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			return err
		}
		return errorf(http.StatusBadRequest, "The request is not JSON of the expected form: %v", err)
	}
	return nil
}

// schemaRequest is what a client sends to register, look up or check a schema.
type schemaRequest struct {
	Schema     string          `json:"schema"`
	SchemaType string          `json:"schemaType"`
	References []Reference     `json:"references"`
	ID         int             `json:"id"`
	Version    int             `json:"version"`
	Metadata   json.RawMessage `json:"metadata"`
	RuleSet    json.RawMessage `json:"ruleSet"`
}

func schemaOf(req *http.Request) (Schema, error) {
	var in schemaRequest
	if err := body(req, &in); err != nil {
		return Schema{}, err
	}
	switch {
	case in.SchemaType != "" && in.SchemaType != "AVRO":
		return Schema{}, errorf(codeInvalidSchema, "Invalid schema type %s. This registry holds AVRO only", in.SchemaType)
	case in.Schema == "":
		return Schema{}, errorf(codeInvalidSchema, "Invalid schema: empty")
	case in.ID > 0 || in.Version > 0:
		return Schema{}, errorf(codeNotPermitted, "Subject %s is not in import mode", req.PathValue("subject"))
	case set(in.Metadata) || set(in.RuleSet):
		// Taking them and doing nothing would be a promise not kept.
		return Schema{}, errorf(codeInvalidSchema, "Invalid schema: metadata and rules are not supported here")
	}
	return Schema{Text: in.Schema, References: in.References}, nil
}

func set(v json.RawMessage) bool { return len(v) > 0 && string(v) != "null" }

func flag(req *http.Request, name string) bool {
	on, err := strconv.ParseBool(req.URL.Query().Get(name))
	return err == nil && on
}

// number reads a version: a number from 1, "latest", or -1 for the same.
func number(req *http.Request) (int, error) {
	s := req.PathValue("version")
	if s == "latest" || s == "-1" {
		return latest, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1<<31-1 {
		return 0, errorf(codeInvalidVersion, "The specified version '%s' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"", s)
	}
	return n, nil
}

func (r *Registry) getLevel(req *http.Request) (any, error) {
	name, s := req.PathValue("subject"), r.state.Load()
	if name == "" {
		return map[string]schemas.Mode{"compatibilityLevel": s.level}, nil
	}
	if sub := s.subjects[name]; sub != nil && sub.Level != "" || flag(req, "defaultToGlobal") {
		return map[string]schemas.Mode{"compatibilityLevel": s.levelOf(name)}, nil
	}
	return nil, errorf(codeNoSubjectCompatibility, "Subject '%s' does not have subject-level compatibility configured", name)
}

func (r *Registry) putLevel(req *http.Request) (any, error) {
	var in struct {
		Compatibility string `json:"compatibility"`
	}
	if err := body(req, &in); err != nil {
		return nil, err
	}
	level, err := schemas.ParseMode(strings.ToUpper(in.Compatibility))
	if err != nil {
		return nil, errorf(codeInvalidCompatibility, "Invalid compatibility level. Valid values are %v", schemas.Modes())
	}
	if _, err := r.SetLevel(req.PathValue("subject"), level); err != nil {
		return nil, err
	}
	return map[string]schemas.Mode{"compatibility": level}, nil
}

func (r *Registry) deleteLevel(req *http.Request) (any, error) {
	before, err := r.SetLevel(req.PathValue("subject"), "")
	if err != nil {
		return nil, err
	}
	// Clients disagree about the name of the field.
	return map[string]schemas.Mode{"compatibilityLevel": before, "compatibility": before}, nil
}

func (r *Registry) getMode(req *http.Request) (any, error) {
	name, s := req.PathValue("subject"), r.state.Load()
	if name == "" {
		return map[string]string{"mode": s.mode}, nil
	}
	if sub := s.subjects[name]; sub != nil && sub.Mode != "" || flag(req, "defaultToGlobal") {
		return map[string]string{"mode": s.modeOf(name)}, nil
	}
	return nil, errorf(codeNoSubjectMode, "Subject '%s' does not have subject-level mode configured", name)
}

func (r *Registry) putMode(req *http.Request) (any, error) {
	var in struct {
		Mode string `json:"mode"`
	}
	if err := body(req, &in); err != nil {
		return nil, err
	}
	mode := strings.ToUpper(in.Mode)
	if mode == "" { // which would remove the subject's own
		return nil, errorf(codeInvalidMode, "Invalid mode: none given")
	}
	if _, err := r.SetMode(req.PathValue("subject"), mode); err != nil {
		return nil, err
	}
	return map[string]string{"mode": mode}, nil
}

func (r *Registry) deleteMode(req *http.Request) (any, error) {
	before, err := r.SetMode(req.PathValue("subject"), "")
	if err != nil {
		return nil, err
	}
	return map[string]string{"mode": before}, nil
}
