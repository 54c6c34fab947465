package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"utopia/cmd/internal/gateway"
)

// document is the OpenAPI document, read as a client would: without the code that made it.
type document struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }

	patterns map[string]*regexp.Regexp
}

type operation struct {
	Responses map[string]struct {
		Content map[string]struct{ Schema schema }
	}
}

type schema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Properties           map[string]schema
	Required             []string
	AdditionalProperties any
	Items                *schema
	Enum                 []any
}

func readDocument(t *testing.T, url string) *document {
	t.Helper()
	a, err := gateway.Over(context.Background(), http.MethodGet, url+"/openapi.json", "")
	if err != nil {
		t.Fatal(err)
	}
	d := gateway.Decoded[document](t, a)
	d.patterns = map[string]*regexp.Regexp{}
	for path := range d.Paths {
		d.patterns[path] = regexp.MustCompile("^" + regexp.MustCompile(`\{[^}]+\}`).ReplaceAllString(path, "[^/]+") + "$")
	}
	if len(d.Paths) < 10 {
		t.Fatalf("%d paths", len(d.Paths))
	}
	return &d
}

// find is the operation that a request meets; a path without a parameter wins.
func (d *document) find(method, path string) (operation, bool) {
	path, _, _ = strings.Cut(path, "?")
	best := ""
	for pattern, re := range d.patterns {
		if re.MatchString(path) && (best == "" || strings.Count(pattern, "{") < strings.Count(best, "{")) {
			best = pattern
		}
	}
	op, ok := d.Paths[best][strings.ToLower(method)]
	return op, ok
}

// check says whether an answer is one that the document describes.
func (d *document) check(t *testing.T, method, path string, a gateway.Answered) {
	t.Helper()
	op, ok := d.find(method, path)
	if !ok {
		return // what is not in the document is answered with a problem; others test that
	}
	response, ok := op.Responses[strconv.Itoa(a.Status)]
	if !ok {
		t.Errorf("%s %s: %d is not documented: %s", method, path, a.Status, a.Body)
		return
	}
	if len(response.Content) == 0 && len(a.Body) == 0 {
		return // such as 304
	}
	kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	content, ok := response.Content[kind]
	if !ok {
		t.Errorf("%s %s: %d with %q is not documented", method, path, a.Status, kind)
		return
	}
	var body any
	if err := json.Unmarshal(a.Body, &body); err != nil {
		t.Errorf("%s %s: %v in %s", method, path, err, a.Body)
		return
	}
	if err := d.fits(content.Schema, body, "body"); err != nil {
		t.Errorf("%s %s: %d: %v in %s", method, path, a.Status, err, a.Body)
	}
}

func (d *document) fits(s schema, v any, at string) error {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		s, ok = d.Components.Schemas[name]
		if !ok {
			return fmt.Errorf("%s: no schema %s", at, name)
		}
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		return fmt.Errorf("%s: %v is none of %v", at, v, s.Enum)
	}
	types, ok := s.Type.([]any)
	if !ok {
		types = []any{s.Type}
	}
	if got := typeOf(v); !slices.Contains(types, any(got)) && (got != "integer" || !slices.Contains(types, any("number"))) {
		return fmt.Errorf("%s: is %s, not %v", at, got, types)
	}
	switch v := v.(type) {
	case map[string]any:
		return d.object(s, v, at)
	case []any:
		for i, e := range v {
			if err := d.fits(*s.Items, e, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *document) object(s schema, v map[string]any, at string) error {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return fmt.Errorf("%s: %s is missing", at, name)
		}
	}
	for name, e := range v {
		p, ok := s.Properties[name]
		if !ok {
			return fmt.Errorf("%s: %s is not described", at, name)
		}
		if err := d.fits(p, e, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
