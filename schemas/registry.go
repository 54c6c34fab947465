package schemas

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"golang.org/x/sync/singleflight"
)

// RegistryConfig says where the registry is.
type RegistryConfig struct {
	URLs    []string       // the registry's addresses
	Options []sr.ClientOpt // TLS and authentication
	Timeout time.Duration  // for one question; 0: 5 s
	// Patience is how long ByID waits for an answer before it says ErrRegistryDown; the question stays open, and who asks again
	// later gets its answer. 0: as long as Timeout. A loop that must not stand still while a registry hangs sets less.
	Patience time.Duration
	// CacheFile keeps what the registry said, so that a process starts and runs without it; empty: nothing is kept.
	CacheFile string
}

// Registry asks a schema registry that speaks the Confluent REST interface. It looks up; only Register registers. It is
// safe for concurrent use.
type Registry struct {
	client   *sr.Client
	timeout  time.Duration
	patience time.Duration
	cache    *idCache
	mu       sync.Mutex
	written  map[string]int // subject → id of what this release writes there, as the registry said in this process

	asking singleflight.Group // about ids
}

// NewRegistry returns a client. It does not connect. An unreadable cache file is an error, a missing one is not.
func NewRegistry(cfg RegistryConfig) (*Registry, error) {
	if len(cfg.URLs) == 0 {
		return nil, errors.New("schema registry: no address")
	}
	client, err := sr.NewClient(append([]sr.ClientOpt{sr.URLs(cfg.URLs...)}, cfg.Options...)...)
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	cache, err := openIDCache(cfg.CacheFile, cfg.URLs)
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Patience == 0 {
		cfg.Patience = cfg.Timeout
	}
	return &Registry{
		client: client, timeout: cfg.Timeout, patience: cfg.Patience, cache: cache, written: map[string]int{},
	}, nil
}

// Written returns the revision that this release writes under a subject.
func Written(subject string) (Revision, bool) {
	s, err := compiled()
	if err != nil {
		return Revision{}, false
	}
	for _, k := range s.byName {
		if r := k.revisions[k.write]; r.Subject() == subject && !r.Private() {
			return r, true
		}
	}
	return Revision{}, false
}

// ID implements IDs. The registry is asked once; what it said in an earlier process counts only while it does not answer.
func (r *Registry) ID(subject string) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, ok := r.written[subject]; ok {
		return id, nil
	}
	rev, ok := Written(subject)
	if !ok {
		return 0, fmt.Errorf("%s: %w", subject, ErrUnknownID)
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	id, err := r.Lookup(ctx, rev)
	if errors.Is(err, ErrRegistryDown) {
		if id, ok := r.cache.id(rev); ok {
			return id, nil
		}
	}
	if err != nil {
		return 0, err
	}
	r.written[subject] = id
	r.cache.put(id, subject, rev.Schema)
	return id, nil
}

// ByID implements IDs. What the registry once said is not asked again, in this process or the next.
func (r *Registry) ByID(id int) (subject, schema string, err error) {
	if subject, schema, ok := r.cache.schema(id); ok {
		return subject, schema, nil
	}
	answered := r.asking.DoChan(strconv.Itoa(id), func() (any, error) { return r.byID(id) })
	late, cancel := context.WithTimeout(context.Background(), r.patience)
	defer cancel()
	select {
	case a := <-answered:
		f, _ := a.Val.(found)
		return f.subject, f.schema, a.Err
	case <-late.Done():
		return "", "", fmt.Errorf("%w: nothing about schema %d within %s", ErrRegistryDown, id, r.patience)
	}
}

// found is what the registry says about an id.
type found struct{ subject, schema string }

func (r *Registry) byID(id int) (f found, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	s, err := r.client.SchemaByID(ctx, id)
	if err != nil {
		return found{}, answer(err)
	}
	if s.Type != sr.TypeAvro || len(s.References) > 0 {
		return found{}, fmt.Errorf("schema %d is not a single Avro schema: %w", id, ErrIncompatible)
	}
	f.schema = s.Schema
	subjects, err := r.client.SubjectsByID(ctx, id)
	if err == nil && len(subjects) > 0 { // not every registry tells; nothing depends on it
		f.subject = slices.Min(subjects)
	}
	r.cache.put(id, f.subject, f.schema)
	return f, nil
}

// Lookup asks the registry for the id of one revision. ErrUnknownID, ErrRegistryDown.
func (r *Registry) Lookup(ctx context.Context, rev Revision) (int, error) {
	found, err := r.client.LookupSchema(ctx, rev.Subject(), sr.Schema{Schema: rev.Schema})
	if err != nil {
		return 0, fmt.Errorf("%s revision %d: %w", rev.Subject(), rev.Number, answer(err))
	}
	return found.ID, nil
}

// Registered is what Register did with one revision.
type Registered struct {
	Revision Revision
	ID       int
	New      bool // false: it was there already
}

// Register puts every embedded revision of the topics that are not private into the registry, oldest first, each subject
// with the mode of ModeOf. It does nothing where nothing is missing. ErrRegistryDown, or ErrIncompatible when the registry
// holds something else that a revision cannot follow; what was done until then is returned too.
func (r *Registry) Register(ctx context.Context) ([]Registered, error) {
	var done []Registered
	for _, rev := range Revisions("") {
		if rev.Private() {
			continue
		}
		id, err := r.Lookup(ctx, rev)
		if err == nil {
			done = append(done, Registered{Revision: rev, ID: id})
			continue
		}
		if !errors.Is(err, ErrUnknownID) {
			return done, err
		}
		if id, err = r.register(ctx, rev); err != nil {
			return done, fmt.Errorf("register %s revision %d: %w", rev.Subject(), rev.Number, err)
		}
		done = append(done, Registered{Revision: rev, ID: id, New: true})
	}
	return done, nil
}

func (r *Registry) register(ctx context.Context, rev Revision) (int, error) {
	if rev.Number == 1 {
		level := sr.SetCompatibility{}
		if err := level.Level.UnmarshalText([]byte(ModeOf(rev.Record))); err != nil {
			return 0, err
		}
		for _, res := range r.client.SetCompatibility(ctx, level, rev.Subject()) {
			if res.Err != nil {
				return 0, answer(res.Err)
			}
		}
	}
	id, err := r.client.RegisterSchema(ctx, rev.Subject(), sr.Schema{Schema: rev.Schema}, -1, -1)
	if err != nil {
		return 0, answer(err)
	}
	return id, nil
}

// answer sorts what went wrong: the registry said no, or it did not answer.
func answer(err error) error {
	var re *sr.ResponseError
	if !errors.As(err, &re) {
		return fmt.Errorf("%w: %w", ErrRegistryDown, err)
	}
	said := strings.TrimSpace(re.Message)
	switch re.StatusCode {
	case http.StatusNotFound:
		return ErrUnknownID
	case http.StatusConflict:
		return fmt.Errorf("%w: %s", ErrIncompatible, said)
	}
	return fmt.Errorf("%w: it says %d %s", ErrRegistryDown, re.StatusCode, said)
}
