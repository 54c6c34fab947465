package registry

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/twmb/avro"

	"utopia/schemas"
)

const (
	defaultLevel  = schemas.Backward // Confluent's
	modeReadWrite = "READWRITE"
	modeReadOnly  = "READONLY"
	latest        = -1
	maxSchema     = 1 << 20
	maxSubject    = 512
	maxReferences = 50
)

// state is everything that is registered. Only a clone that nobody has seen yet is changed.
type state struct {
	subjects map[string]*subject
	byID     map[int]*entry
	byKey    map[key]int
	nextID   int
	level    schemas.Mode
	mode     string
	changed  bool // since it was cloned
}

type subject struct {
	Versions []version    `json:"versions"` // ascending, deleted ones too: a number is never given twice
	Last     int          `json:"last"`     // the highest number ever given
	Level    schemas.Mode `json:"level,omitempty"`
	Mode     string       `json:"mode,omitempty"`
}

type version struct {
	Version int  `json:"version"`
	ID      int  `json:"id"`
	Deleted bool `json:"deleted,omitempty"`
}

// entry is one schema; it never changes.
type entry struct {
	Schema
	whole string // the text with what it refers to put in
	plain key    // of the text without documentation
}

func newState() *state {
	return &state{
		subjects: map[string]*subject{}, byID: map[int]*entry{}, byKey: map[key]int{},
		nextID: 1, level: defaultLevel, mode: modeReadWrite,
	}
}

func (s *state) clone() *state {
	c := *s
	c.subjects, c.byID, c.byKey = maps.Clone(s.subjects), maps.Clone(s.byID), maps.Clone(s.byKey)
	return &c
}

// mutable returns a copy of a subject in s, or a new one, that may be changed.
func (s *state) mutable(name string) *subject {
	sub := &subject{}
	if old := s.subjects[name]; old != nil {
		*sub = *old
		sub.Versions = slices.Clone(old.Versions)
	}
	s.subjects[name] = sub
	s.changed = true
	return sub
}

func checkSubject(name string) error {
	if name == "" || len(name) > maxSubject || strings.ContainsFunc(name, unicode.IsControl) {
		return errorf(codeInvalidSubject, "A subject's name has 1 to %d characters and no control characters", maxSubject)
	}
	return nil
}

// add gives a schema an id, if it has none, and a version in the subject, if it has none there.
func (s *state) add(name string, in Schema) (id, number int, err error) {
	e, k, err := s.compile(in)
	if err != nil {
		return 0, 0, err
	}
	id, known := s.byKey[k]
	if !known {
		id = s.nextID
		s.nextID++
		s.byID[id], s.byKey[k] = e, id
		s.changed = true
	}
	if sub := s.subjects[name]; sub != nil {
		for _, v := range sub.Versions {
			if v.ID == id && !v.Deleted {
				return id, v.Version, nil
			}
		}
	}
	sub := s.mutable(name)
	sub.Last++
	sub.Versions = append(sub.Versions, version{Version: sub.Last, ID: id})
	return id, sub.Last, nil
}

// compile checks a schema and puts in what it refers to.
func (s *state) compile(in Schema) (*entry, key, error) {
	if len(in.Text) > maxSchema {
		return nil, key{}, errorf(codeInvalidSchema, "Invalid schema: longer than %d bytes", maxSchema)
	}
	var cache avro.SchemaCache
	if err := s.refer(&cache, in.References, 0); err != nil {
		return nil, key{}, err
	}
	parsed, err := cache.Parse(in.Text)
	if err != nil {
		return nil, key{}, errorf(codeInvalidSchema, "Invalid schema: %v", err)
	}
	in.Text = compact(in.Text)
	e := &entry{Schema: in, whole: in.Text}
	if len(in.References) > 0 {
		out, err := parsed.Root().Schema() // with everything it refers to put in
		if err != nil {
			return nil, key{}, errorf(codeInvalidSchema, "Invalid schema: %v", err)
		}
		e.whole = out.String()
	}
	k, plain, err := keysOf(in)
	if err != nil {
		return nil, key{}, errorf(codeInvalidSchema, "Invalid schema: %v", err)
	}
	e.plain = plain
	return e, k, nil
}

// refer parses what is referred to, deepest first.
func (s *state) refer(cache *avro.SchemaCache, refs []Reference, depth int) error {
	if len(refs) > maxReferences || depth > maxReferences {
		return errorf(codeInvalidSchema, "Invalid schema: more than %d references", maxReferences)
	}
	for _, ref := range refs {
		v, err := s.version(ref.Subject, ref.Version, false)
		if err != nil {
			return errorf(codeInvalidSchema, "Invalid schema: no schema reference found for subject %q and version %d", ref.Subject, ref.Version)
		}
		if err := s.refer(cache, v.References, depth+1); err != nil {
			return err
		}
		if _, err := cache.Parse(v.Text); err != nil {
			return errorf(codeInvalidSchema, "Invalid schema: reference %q: %v", ref.Name, err)
		}
	}
	return nil
}

// lookup finds the version of a subject that has the schema: the one with the same text, else the latest that differs in
// documentation only.
func (s *state) lookup(name string, in Schema, deleted bool) (Version, error) {
	sub := s.subjects[name]
	if sub == nil || len(sub.Versions) == 0 || (!deleted && len(s.live(name)) == 0) {
		return Version{}, subjectNotFound(name)
	}
	e, k, err := s.compile(in)
	if err != nil {
		return Version{}, err
	}
	exact := s.byKey[k] // ids begin with 1
	var found *version
	for i := range sub.Versions {
		v := &sub.Versions[i]
		switch {
		case v.Deleted && !deleted:
		case v.ID == exact:
			return s.show(name, *v), nil
		case s.byID[v.ID].plain == e.plain:
			found = v
		}
	}
	if found == nil {
		return Version{}, errorf(codeSchemaNotFound, "Schema not found")
	}
	return s.show(name, *found), nil
}

// same reports whether v has the very schema, documentation included.
func (s *state) same(v Version, in Schema) bool {
	_, k, err := s.compile(in)
	return err == nil && s.byKey[k] == v.ID
}

func (s *state) show(name string, v version) Version {
	return Version{Subject: name, Version: v.Version, ID: v.ID, Schema: s.byID[v.ID].Schema}
}

// live returns the versions of a subject that are not deleted, oldest first.
func (s *state) live(name string) []Version {
	var all []Version
	if sub := s.subjects[name]; sub != nil {
		for _, v := range sub.Versions {
			if !v.Deleted {
				all = append(all, s.show(name, v))
			}
		}
	}
	return all
}

// version returns one version of a subject; latest is the newest that is not deleted.
func (s *state) version(name string, number int, deleted bool) (Version, error) {
	sub := s.subjects[name]
	if sub == nil || len(sub.Versions) == 0 || (!deleted && len(s.live(name)) == 0) {
		return Version{}, subjectNotFound(name)
	}
	for _, v := range slices.Backward(sub.Versions) {
		if (v.Version == number || number == latest) && (!v.Deleted || deleted) {
			return s.show(name, v), nil
		}
	}
	return Version{}, versionNotFound(number)
}

// compatible checks a schema against versions at a level.
func (s *state) compatible(name string, in Schema, level schemas.Mode, against []Version) error {
	e, _, err := s.compile(in)
	if err != nil {
		return err
	}
	earlier := make([]string, 0, len(against))
	for _, v := range against {
		earlier = append(earlier, s.byID[v.ID].whole)
	}
	err = schemas.CheckCompatibility(level, e.whole, earlier...)
	if errors.Is(err, schemas.ErrSchema) {
		return errorf(codeInvalidSchema, "Invalid schema: %v", err)
	}
	var incompatible *schemas.IncompatibleError
	if errors.As(err, &incompatible) {
		return &conflict{subject: name, why: incompatible}
	}
	return err
}

// conflict is an incompatibility as an answer: both an *Error and the list of what is wrong.
type conflict struct {
	subject string
	why     *schemas.IncompatibleError
}

func (c *conflict) Error() string { return c.answer().Error() }

func (c *conflict) answer() *Error {
	return errorf(codeIncompatible, "Schema being registered is incompatible with an earlier schema for subject \"%s\", details: %v", c.subject, c.why)
}

// As makes the conflict an *Error for whoever answers with it.
func (c *conflict) As(target any) bool {
	if e, ok := target.(**Error); ok {
		*e = c.answer()
		return true
	}
	return false
}

// Unwrap gives the list.
func (c *conflict) Unwrap() error { return c.why }

func (s *state) levelOf(name string) schemas.Mode {
	if sub := s.subjects[name]; sub != nil && sub.Level != "" {
		return sub.Level
	}
	return s.level
}

func (s *state) modeOf(name string) string {
	if sub := s.subjects[name]; sub != nil && sub.Mode != "" {
		return sub.Mode
	}
	return s.mode
}

// referencing returns the ids of the schemas that refer to a version.
func (s *state) referencing(name string, number int) []int {
	ids := []int{}
	for _, sub := range s.subjects {
		for _, v := range sub.Versions {
			for _, ref := range s.byID[v.ID].References {
				if ref.Subject == name && (ref.Version == number || number == latest) && !slices.Contains(ids, v.ID) {
					ids = append(ids, v.ID)
				}
			}
		}
	}
	slices.Sort(ids)
	return ids
}
