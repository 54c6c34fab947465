package gateway

import (
	"bytes"
	_ "embed"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsHTML string

//nolint:gochecknoglobals // a template that cannot be parsed fails every test, not a request
var docsPage = template.Must(template.New("docs").Parse(docsHTML))

type docsRoute struct{ Method, Path, Summary, Roles string }

type docsProblem struct {
	Code, Title string
	Status      int
}

// docs shows routes, who may use them, and the types of problems. It loads nothing from elsewhere.
func (g *Gateway) docs(w http.ResponseWriter, _ *http.Request) {
	var page struct {
		Routes   []docsRoute
		Problems []docsProblem
	}
	paths := g.api.OpenAPI().Paths
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for _, op := range operations(paths[path]) {
			page.Routes = append(page.Routes, docsRoute{op.Method, path, op.Summary, names(g.policy[op.OperationID])})
		}
	}
	all := kinds()
	for _, code := range slices.Sorted(maps.Keys(all)) {
		page.Problems = append(page.Problems, docsProblem{code, all[code].title, all[code].status})
	}
	slices.SortStableFunc(page.Problems, func(a, b docsProblem) int { return a.Status - b.Status })
	var b bytes.Buffer
	if err := docsPage.Execute(&b, page); err != nil {
		write(w, problem(codeInternal))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	_, _ = w.Write(b.Bytes()) // the browser is gone, or has it
}

// operations are those of a path, in a fixed order.
func operations(p *huma.PathItem) []*huma.Operation {
	var all []*huma.Operation
	for _, op := range []*huma.Operation{p.Get, p.Put, p.Post, p.Delete} {
		if op != nil {
			all = append(all, op)
		}
	}
	return all
}

func names(roles []Role) string {
	var all []string
	for _, r := range roles {
		all = append(all, string(r))
	}
	return strings.Join(all, ", ")
}
