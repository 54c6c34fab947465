// Package registry is a schema registry that lives in the process that embeds it and speaks the REST API of the Confluent
// schema registry, so that clients in other languages decode and encode the records of this system.
//
// It holds Avro schemas only, and keeps the promises of this system's own subjects: they can be neither deleted nor made
// less compatible. It is for development and for one process: it has no replicas, no users and no TLS. A deployment uses a
// registry of its own, and this package's answers are those of a real one, so nothing else changes.
package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"utopia/schemas"
)

// ErrDamaged says that the file with what was registered cannot be read. Records on the log name their schemas by the ids
// in it, so a new one would make them unreadable; it has to be restored, or removed together with the broker's data.
var ErrDamaged = errors.New("the registry's file is damaged")

// Options of a registry.
type Options struct {
	Dir    string // keeps what is registered in Dir/registry.json; empty: in memory
	Seeds  []Seed // registered at start; nil: Seeds(), empty: none
	Logger *slog.Logger
}

// Seed is a schema of this system: registered at start, and from then on protected.
type Seed struct {
	Subject string
	Schema  string
	Level   schemas.Mode // the promise of its subject
}

// Seeds returns every released schema of the topics that others read, oldest revision first, under Confluent's
// TopicRecordNameStrategy.
func Seeds() []Seed {
	var all []Seed
	for _, r := range schemas.Revisions("") {
		if !r.Private() {
			all = append(all, Seed{Subject: r.Subject(), Schema: r.Schema, Level: schemas.ModeOf(r.Record)})
		}
	}
	return all
}

// Registry is the registry. Its methods are safe for concurrent use; Handler serves them.
type Registry struct {
	file  string // empty: in memory
	log   *slog.Logger
	ours  map[string]schemas.Mode // subjects of this system and their promise
	write sync.Mutex              // one change at a time
	state atomic.Pointer[state]   // never changed, only replaced: readers need no lock and a failed write leaves no trace
}

// New opens what the directory keeps and registers the seeds. Ids stay what they were. Errors: ErrDamaged, those of the
// file system, *Error for a seed that is no schema.
func New(opts Options) (*Registry, error) {
	r := &Registry{log: opts.Logger, ours: map[string]schemas.Mode{}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if opts.Seeds == nil {
		opts.Seeds = Seeds()
	}
	first := newState()
	if opts.Dir != "" {
		if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("schema registry: %w", err)
		}
		r.file = filepath.Join(opts.Dir, "registry.json")
		kept, err := load(r.file)
		if err != nil {
			return nil, fmt.Errorf("schema registry: %w", err)
		}
		if kept != nil {
			first = kept
		}
	}
	r.state.Store(first)
	err := r.change(func(s *state) error {
		for _, seed := range opts.Seeds {
			if _, _, err := s.add(seed.Subject, Schema{Text: seed.Schema}); err != nil {
				return fmt.Errorf("subject %s: %w", seed.Subject, err)
			}
			r.ours[seed.Subject] = seed.Level
			if s.subjects[seed.Subject].Level != seed.Level {
				s.mutable(seed.Subject).Level = seed.Level
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	return r, nil
}

// change applies f to a copy of the state, keeps it, and only then shows it to readers.
func (r *Registry) change(f func(*state) error) error {
	r.write.Lock()
	defer r.write.Unlock()
	before := r.state.Load()
	next := before.clone()
	if err := f(next); err != nil {
		return err
	}
	if r.file != "" && next.changed {
		if err := next.save(r.file); err != nil {
			r.log.Error("schema registry cannot keep a change", slog.Any("error", err))
			return err
		}
	}
	next.changed = false
	r.state.Store(next)
	return nil
}

// Schema is what a client sends and gets: the text and what it refers to.
type Schema struct {
	Text       string
	References []Reference
}

// Reference names a schema of another subject that defines a type used in this one.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// Version is one version of a subject.
type Version struct {
	Subject string
	Version int
	ID      int
	Schema
}

// Register adds a schema to a subject, if the subject's compatibility allows it, and returns its id and version. A schema
// that the subject has already keeps both. Errors: *Error with codes 409, 42201, 42205, 42208.
func (r *Registry) Register(subject string, in Schema) (Version, error) {
	if err := checkSubject(subject); err != nil {
		return Version{}, err
	}
	now := r.state.Load() // most calls find the schema there and change nothing
	if v, err := now.lookup(subject, in, false); err == nil && now.same(v, in) {
		return v, nil
	}
	var out Version
	err := r.change(func(s *state) error {
		if s.modeOf(subject) == modeReadOnly {
			return errorf(codeNotPermitted, "Subject %s is in read-only mode", subject)
		}
		if v, err := s.lookup(subject, in, false); err == nil && s.same(v, in) {
			out = v
			return nil
		}
		if err := s.compatible(subject, in, s.levelOf(subject), s.live(subject)); err != nil {
			return err
		}
		id, version, err := s.add(subject, in)
		out = Version{Subject: subject, Version: version, ID: id, Schema: in}
		return err
	})
	if err != nil {
		return Version{}, err
	}
	return out, nil
}

// Lookup finds a schema in a subject, whatever its layout; a text that differs in documentation only is found too.
// Errors: *Error with codes 40401, 40403, 42201.
func (r *Registry) Lookup(subject string, in Schema, deleted bool) (Version, error) {
	return r.state.Load().lookup(subject, in, deleted)
}

// Compatible reports whether a schema may follow one version of a subject, or, with version 0, whether Register would
// take it. The problems are sentences. Errors: *Error with codes 40401, 40402, 42201.
func (r *Registry) Compatible(subject string, version int, in Schema) (ok bool, problems []string, err error) {
	s := r.state.Load()
	against := s.live(subject)
	level := s.levelOf(subject)
	switch {
	case version == 0:
	case version == latest && len(against) == 0:
		return true, nil, s.compatible(subject, in, level, nil)
	default:
		v, err := s.version(subject, version, false)
		if err != nil {
			return false, nil, err
		}
		against = []Version{v}
	}
	err = s.compatible(subject, in, level, against)
	var incompatible *schemas.IncompatibleError
	if errors.As(err, &incompatible) {
		return false, incompatible.Problems, nil
	}
	return err == nil, nil, err
}

// protect refuses what would break a promise of this system.
func (r *Registry) protect(subject, what string) error {
	if level, ok := r.ours[subject]; ok {
		return errorf(codeNotPermitted, "Subject %s belongs to this system, which promises %s: %s is not permitted", subject, level, what)
	}
	return nil
}

// DeleteSubject deletes all versions of a subject; they stay readable by id until they are deleted permanently, too.
// It returns the versions. Errors: *Error with codes 40401, 40404, 40405, 42205, 42206.
func (r *Registry) DeleteSubject(subject string, permanent bool) ([]int, error) {
	if err := r.protect(subject, "deleting it"); err != nil {
		return nil, err
	}
	var out []int
	err := r.change(func(s *state) (err error) {
		out, err = s.deleteSubject(subject, permanent)
		return err
	})
	return out, err
}

// DeleteVersion deletes one version of a subject. Errors: *Error with codes 40401, 40402, 40406, 40407, 42205, 42206.
func (r *Registry) DeleteVersion(subject string, version int, permanent bool) (int, error) {
	if err := r.protect(subject, "deleting a version"); err != nil {
		return 0, err
	}
	var out int
	err := r.change(func(s *state) (err error) {
		out, err = s.deleteVersion(subject, version, permanent)
		return err
	})
	return out, err
}

// SetLevel sets the compatibility of a subject, or, for "", of all that have none of their own. A level of "" removes
// the subject's own. It returns the level before. Errors: *Error with codes 40408, 42205.
func (r *Registry) SetLevel(subject string, level schemas.Mode) (before schemas.Mode, err error) {
	if promised, ok := r.ours[subject]; ok && level != promised {
		return "", r.protect(subject, "changing its compatibility")
	}
	err = r.change(func(s *state) error {
		s.changed = true
		if subject == "" {
			before, s.level = s.level, level
			if level == "" {
				s.level = defaultLevel
			}
			return nil
		}
		sub := s.subjects[subject]
		if level == "" && (sub == nil || sub.Level == "") {
			return errorf(codeNoSubjectCompatibility, "Subject '%s' does not have subject-level compatibility configured", subject)
		}
		sub = s.mutable(subject)
		before, sub.Level = sub.Level, level
		return nil
	})
	return before, err
}

// SetMode makes a subject, or with "" all that have no mode of their own, read-only or writable again. A mode of ""
// removes the subject's own. It returns the mode before. Errors: *Error with codes 40409, 42204.
func (r *Registry) SetMode(subject, mode string) (before string, err error) {
	if !slices.Contains([]string{"", modeReadWrite, modeReadOnly}, mode) {
		return "", errorf(codeInvalidMode, "Invalid mode. Valid values here are %s and %s", modeReadWrite, modeReadOnly)
	}
	err = r.change(func(s *state) error {
		s.changed = true
		if subject == "" {
			before, s.mode = s.mode, mode
			if mode == "" {
				s.mode = modeReadWrite
			}
			return nil
		}
		sub := s.subjects[subject]
		if mode == "" && (sub == nil || sub.Mode == "") {
			return errorf(codeNoSubjectMode, "Subject '%s' does not have subject-level mode configured", subject)
		}
		sub = s.mutable(subject)
		before, sub.Mode = sub.Mode, mode
		return nil
	})
	return before, err
}
