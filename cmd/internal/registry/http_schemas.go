package registry

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// wire is a version of a subject as clients read it. AVRO, the only type, is what they assume where none is named.
type wire struct {
	Subject    string      `json:"subject"`
	Version    int         `json:"version"`
	ID         int         `json:"id"`
	References []Reference `json:"references,omitempty"`
	Schema     string      `json:"schema"`
}

func wireOf(v Version) wire {
	return wire{Subject: v.Subject, Version: v.Version, ID: v.ID, References: v.References, Schema: v.Text}
}

func (r *Registry) postRegister(req *http.Request) (any, error) {
	in, err := schemaOf(req)
	if err != nil {
		return nil, err
	}
	v, err := r.Register(req.PathValue("subject"), in)
	if err != nil {
		return nil, err
	}
	return map[string]int{"id": v.ID, "version": v.Version}, nil
}

func (r *Registry) postLookup(req *http.Request) (any, error) {
	in, err := schemaOf(req)
	if err != nil {
		return nil, err
	}
	v, err := r.Lookup(req.PathValue("subject"), in, flag(req, "deleted"))
	if err != nil {
		return nil, err
	}
	return wireOf(v), nil
}

func (r *Registry) postCompatible(req *http.Request) (any, error) {
	in, err := schemaOf(req)
	if err != nil {
		return nil, err
	}
	against := 0
	if req.PathValue("version") != "" {
		if against, err = number(req); err != nil {
			return nil, err
		}
	}
	ok, problems, err := r.Compatible(req.PathValue("subject"), against, in)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"is_compatible": ok}
	if flag(req, "verbose") {
		if problems == nil {
			problems = []string{}
		}
		out["messages"] = problems
	}
	return out, nil
}

// subjects returns the names that the request asks for, sorted.
func (s *state) names(req *http.Request) []string {
	prefix := req.URL.Query().Get("subjectPrefix")
	deleted, only := flag(req, "deleted"), flag(req, "deletedOnly")
	out := []string{}
	for _, name := range slices.Sorted(maps.Keys(s.subjects)) {
		any, live := len(s.subjects[name].Versions) > 0, len(s.live(name)) > 0
		if any && strings.HasPrefix(name, prefix) && ((live && !only) || (!live && (deleted || only))) {
			out = append(out, name)
		}
	}
	return out
}

func (r *Registry) getSubjects(req *http.Request) (any, error) {
	return page(req, r.state.Load().names(req)), nil
}

func (r *Registry) getSchemas(req *http.Request) (any, error) {
	s, out := r.state.Load(), []wire{}
	for _, name := range s.names(req) {
		all := s.subjects[name].Versions
		for i, v := range all {
			if (v.Deleted && !flag(req, "deleted")) || (flag(req, "latestOnly") && i < len(all)-1) {
				continue
			}
			out = append(out, wireOf(s.show(name, v)))
		}
	}
	return page(req, out), nil
}

// page applies offset and limit.
func page[T any](req *http.Request, all []T) []T {
	q := req.URL.Query()
	if n, err := strconv.Atoi(q.Get("offset")); err == nil && n > 0 {
		all = all[min(n, len(all)):]
	}
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n >= 0 {
		all = all[:min(n, len(all))]
	}
	return all
}

func (r *Registry) getVersions(req *http.Request) (any, error) {
	name, s := req.PathValue("subject"), r.state.Load()
	sub, out := s.subjects[name], []int{}
	if sub != nil {
		for _, v := range sub.Versions {
			if (!v.Deleted && !flag(req, "deletedOnly")) || (v.Deleted && (flag(req, "deleted") || flag(req, "deletedOnly"))) {
				out = append(out, v.Version)
			}
		}
	}
	if len(out) == 0 {
		return nil, subjectNotFound(name)
	}
	return page(req, out), nil
}

func (r *Registry) oneVersion(req *http.Request) (Version, error) {
	n, err := number(req)
	if err != nil {
		return Version{}, err
	}
	return r.state.Load().version(req.PathValue("subject"), n, flag(req, "deleted"))
}

func (r *Registry) getVersion(req *http.Request) (any, error) {
	v, err := r.oneVersion(req)
	if err != nil {
		return nil, err
	}
	return wireOf(v), nil
}

func (r *Registry) getText(req *http.Request) (any, error) {
	v, err := r.oneVersion(req)
	if err != nil {
		return nil, err
	}
	return raw(v.Text), nil
}

func (r *Registry) getReferencedBy(req *http.Request) (any, error) {
	v, err := r.oneVersion(req)
	if err != nil {
		return nil, err
	}
	return r.state.Load().referencing(v.Subject, v.Version), nil
}

// byID finds a schema. Deleted ones are found too: records on the log still name them.
func (s *state) find(req *http.Request) (int, *entry, error) {
	id, err := strconv.Atoi(req.PathValue("id"))
	if err != nil {
		return 0, nil, errorf(http.StatusNotFound, "HTTP 404 Not Found: %s", req.URL.Path)
	}
	e := s.byID[id]
	if e == nil {
		return 0, nil, schemaNotFound(id)
	}
	return id, e, nil
}

func (r *Registry) getByID(req *http.Request) (any, error) {
	s := r.state.Load()
	_, e, err := s.find(req)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"schema": e.Text}
	if len(e.References) > 0 {
		out["references"] = e.References
	}
	if flag(req, "fetchMaxId") {
		out["maxId"] = s.nextID - 1
	}
	return out, nil
}

func (r *Registry) getTextByID(req *http.Request) (any, error) {
	_, e, err := r.state.Load().find(req)
	if err != nil {
		return nil, err
	}
	return raw(e.Text), nil
}

// uses returns the versions that have an id, by subject.
func (r *Registry) uses(req *http.Request) ([]Version, error) {
	s := r.state.Load()
	id, _, err := s.find(req)
	if err != nil {
		return nil, err
	}
	var out []Version
	for _, name := range slices.Sorted(maps.Keys(s.subjects)) {
		for _, v := range s.subjects[name].Versions {
			if v.ID == id && (!v.Deleted || flag(req, "deleted")) {
				out = append(out, s.show(name, v))
			}
		}
	}
	return out, nil
}

func (r *Registry) getSubjectsByID(req *http.Request) (any, error) {
	all, err := r.uses(req)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, v := range all {
		out = append(out, v.Subject)
	}
	return page(req, slices.Compact(out)), nil
}

func (r *Registry) getVersionsByID(req *http.Request) (any, error) {
	all, err := r.uses(req)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, v := range all {
		out = append(out, map[string]any{"subject": v.Subject, "version": v.Version})
	}
	return page(req, out), nil
}

func (r *Registry) deleteSubject(req *http.Request) (any, error) {
	return r.DeleteSubject(req.PathValue("subject"), flag(req, "permanent"))
}

func (r *Registry) deleteVersion(req *http.Request) (any, error) {
	n, err := number(req)
	if err != nil {
		return nil, err
	}
	return r.DeleteVersion(req.PathValue("subject"), n, flag(req, "permanent"))
}
