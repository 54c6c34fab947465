package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"utopia/cmd/internal/api"
)

// routes builds the handler: limits and protection outside, then routing, then who may do what.
func (g *Gateway) routes() http.Handler {
	useProblems()
	mux := http.NewServeMux()
	g.api = humago.New(mux, g.document())
	g.customerRoutes()
	g.billingRoutes()
	g.queryRoutes()
	g.feedRoutes()
	g.webhookRoutes()
	g.catalogueRoutes()
	g.deadLetterRoutes()
	g.flowRoutes()
	g.publicRoutes()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", g.readyz)
	mux.HandleFunc("GET /problems/{code}", g.problemPage)
	mux.HandleFunc("GET /docs", g.docs)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { notFound(mux, w, r) })

	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { write(w, problem(codeCrossOrigin)) }))
	return g.outermost(g.beside(guard.Handler(mux)))
}

// document is the head of the OpenAPI document. Nothing of it is loaded from elsewhere.
func (g *Gateway) document() huma.Config {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: strictJSON}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Utopia", Version: "1",
				Description: "Customers change their address, and everybody who must know learns it, once. A command is answered when its outcome is " +
					"committed; the same command with the same Idempotency-Key gets the first answer again, from any instance.",
			},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{"bearer": {Type: "http", Scheme: "bearer", Description: "An API key, or a JWT of the configured issuer"}},
			},
		},
		OpenAPIPath:   "/openapi",
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json",
	}
}

// strictJSON refuses what is not UTF-8: encoding/json would replace it, and the log would keep what nobody has written.
func strictJSON(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	return json.Unmarshal(data, v)
}

// add registers a route. Its roles are in the policy, by its operation id.
func add[I, O any](g *Gateway, op huma.Operation, f func(context.Context, *I) (*O, error)) {
	op.MaxBodyBytes = maxBody
	op.Middlewares = append(op.Middlewares, g.admit)
	op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusForbidden, http.StatusTooManyRequests, http.StatusInternalServerError)
	roles := g.policy[op.OperationID]
	if !slices.Contains(roles, Everybody) {
		op.Security = []map[string][]string{{"bearer": {}}}
		op.Errors = append(op.Errors, http.StatusUnauthorized)
		op.Extensions = map[string]any{"x-roles": roles}
	}
	slices.Sort(op.Errors)
	op.Errors = slices.Compact(op.Errors)
	huma.Register(g.api, op, f)
}

// command describes a route that sends a command.
func (g *Gateway) command(id, method, path, summary string) huma.Operation {
	outcome := g.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.Outcome](), true, "Outcome")
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"commands"},
		Responses: map[string]*huma.Response{
			"202": {
				Description: "The command is stored; its outcome is not known yet. Location says where it will be, on any instance",
				Content:     map[string]*huma.MediaType{"application/json": {Schema: outcome}},
			},
		},
		Errors: []int{
			http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed,
			http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusServiceUnavailable,
		},
	}
}

// query describes a route that reads.
func query(id, path, summary string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"queries"},
		Errors: []int{http.StatusNotFound, http.StatusServiceUnavailable, http.StatusGatewayTimeout},
	}
}

// write answers with a problem outside of huma.
func write(w http.ResponseWriter, p *Problem) {
	h := w.Header()
	for name, values := range p.headers {
		h[name] = values
	}
	h.Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller is gone, or has it
}

// notFound also answers where only the method is wrong: the pattern that catches everything hides that from the mux.
func notFound(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPost, http.MethodPut} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		write(w, problem(codeMethod).with("Allow", strings.Join(allowed, ", ")))
		return
	}
	write(w, problem(codeNotFound))
}

// outermost sets what every answer has, turns a panic into a problem, and counts.
func (g *Gateway) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := g.now()
		h := w.Header()
		h.Set("Cache-Control", "no-store") // states are personal, and as fresh as their age says only now
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		rec := &recorder{ResponseWriter: w}
		r.Body = http.MaxBytesReader(rec, r.Body, maxBody+1) // one more than huma takes, which says 413
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
					panic(v)
				}
				g.log.Error("a request met a defect", slog.String("route", r.Pattern), slog.String("stack", string(debug.Stack()))) // v may quote the request
				if rec.status == 0 {
					write(rec, problem(codeInternal))
				}
			}
			if g.cfg.Observe != nil {
				g.cfg.Observe(r.Pattern, rec.status, g.now().Sub(began))
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// recorder knows the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (g *Gateway) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := g.Ready(); err != nil {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, err)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// problemPage says what a type of problem is. A page that opens the type of a problem finds it here.
func (g *Gateway) problemPage(w http.ResponseWriter, r *http.Request) {
	code := r.PathValue("code")
	if _, ok := kinds()[code]; !ok {
		write(w, problem(codeNotFound))
		return
	}
	var b bytes.Buffer
	p := problem(code)
	_ = json.NewEncoder(&b).Encode(map[string]any{"type": p.Type, "title": p.Title, "status": p.Status, "code": p.Code}) // plain values
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.Copy(w, &b)
}

// seconds writes a duration as Retry-After wants it, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
