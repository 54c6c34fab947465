package kafka

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Registry is a running Apicurio schema registry. It keeps its schemas in memory.
type Registry struct {
	url  string
	path string
	p    *process
}

// RunRegistry starts a registry with its log in dir, and returns when it takes requests.
func RunRegistry(ctx context.Context, dir string) (*Registry, error) {
	parts, err := parts(ctx)
	if err != nil {
		return nil, err
	}
	jars, err := filepath.Glob(filepath.Join(parts, "registry", "*-runner.jar"))
	if err != nil || len(jars) != 1 {
		return nil, fmt.Errorf("kafka: the registry's program is not where it should be: %q, %w", jars, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	r := &Registry{url: "http://" + loopback(ports[0]) + "/apis/ccompat/v7", path: filepath.Join(dir, "registry.log")}
	if r.p, err = startProcess(r.path, "java", "-Xmx400m", firstCompiler, "-Dquarkus.http.host=127.0.0.1", fmt.Sprintf("-Dquarkus.http.port=%d", ports[0]), "-jar", jars[0]); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if err := r.ready(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// URL is where the Confluent API is: the value of --registry.
func (r *Registry) URL() string { return r.url }

// Log is the path of its log.
func (r *Registry) Log() string { return r.path }

// Close ends it.
func (r *Registry) Close() { r.p.kill() }

func (r *Registry) ready(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		last := r.ask(ctx)
		if last == nil {
			return nil
		}
		if end, over := r.p.ended(); over {
			return fmt.Errorf("kafka: the registry ended by itself: %w\n%s", errors.Join(end, last), tail(r.path))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kafka: the registry: %w; at last: %w", ctx.Err(), last)
		case <-tick.C:
		}
	}
}

func (r *Registry) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/subjects", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}
