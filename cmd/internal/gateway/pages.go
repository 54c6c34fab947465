package gateway

import (
	"context"
	"net/http"
	"strings"
	"time"

	"utopia/cmd/internal/api"
	"utopia/processors/ask"
	"utopia/schemas"
)

// Mount serves pages beside the API; it is called before the handler is. The pages know by themselves who looks at them.
func (g *Gateway) Mount(pages http.Handler) { g.pages = pages }

// beside hands what is not the API's to the pages.
func (g *Gateway) beside(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.pages == nil || isAPI(r.URL.Path) {
			api.ServeHTTP(w, r)
			return
		}
		g.pages.ServeHTTP(w, r)
	})
}

// Public is the limit, by address, of those who need not say who they are: of links that are posted to the pages, too. When it is
// reached, again is how long to wait.
func (g *Gateway) Public(r *http.Request) (again time.Duration, ok bool) {
	return g.public.allow(g.addressOf(r), g.now())
}

func isAPI(path string) bool {
	if strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/openapi") || strings.HasPrefix(path, "/problems/") {
		return true
	}
	return path == "/docs" || path == "/healthz" || path == "/readyz"
}

// Ask sends a command to the customer service for the pages, and waits for its reply. ask.ErrNotStored while there is no connection.
func (g *Gateway) Ask(ctx context.Context, key string, cmd schemas.Command) (schemas.ReplyFields, error) {
	asker := g.asker(api.Customer())
	if asker == nil || !g.fresh.reachable(g.now()) {
		return schemas.ReplyFields{}, ask.ErrNotStored
	}
	return asker.Ask(ctx, key, cmd)
}
