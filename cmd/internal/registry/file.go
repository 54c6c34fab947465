package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"utopia/schemas"
)

// kept is the form of the state on disk.
type kept struct {
	Format   int                 `json:"format"`
	NextID   int                 `json:"nextId"`
	Level    schemas.Mode        `json:"level"`
	Mode     string              `json:"mode"`
	Schemas  map[int]keptSchema  `json:"schemas"`
	Subjects map[string]*subject `json:"subjects"`
}

type keptSchema struct {
	Schema     string      `json:"schema"`
	References []Reference `json:"references,omitempty"`
}

const format = 1

// load returns nil for a file that does not exist.
func load(path string) (*state, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing kept is neither a state nor an error
	}
	if err != nil {
		return nil, err
	}
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	if k.Format != format {
		return nil, fmt.Errorf("%w: %s: format %d, this release reads %d", ErrDamaged, path, k.Format, format)
	}
	s, err := k.state()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	return s, nil
}

// state checks what was read: every id that a subject names is there, every schema compiles.
func (k *kept) state() (*state, error) {
	s := newState()
	s.nextID, s.level, s.mode = k.NextID, k.Level, k.Mode
	if _, err := schemas.ParseMode(string(k.Level)); err != nil {
		return nil, err
	}
	for id, one := range k.Schemas {
		if id < 1 || id >= k.NextID {
			return nil, fmt.Errorf("schema id %d is not below the next, %d", id, k.NextID)
		}
		s.byID[id] = &entry{Schema: Schema{Text: one.Schema, References: one.References}}
	}
	for name, sub := range k.Subjects {
		if sub == nil {
			return nil, fmt.Errorf("subject %s is empty", name)
		}
		last := 0
		for _, v := range sub.Versions {
			if s.byID[v.ID] == nil || v.Version <= last || v.Version > sub.Last {
				return nil, fmt.Errorf("subject %s, version %d: no such schema or out of order", name, v.Version)
			}
			last = v.Version
		}
		s.subjects[name] = sub
	}
	for id, e := range s.byID { // after the subjects: schemas refer to versions
		whole, at, err := s.compile(e.Schema)
		if err != nil {
			return nil, fmt.Errorf("schema %d: %w", id, err)
		}
		s.byID[id], s.byKey[at] = whole, id
	}
	return s, nil
}

// save replaces the file as a whole: a crash leaves the old or the new one.
func (s *state) save(path string) error {
	k := kept{Format: format, NextID: s.nextID, Level: s.level, Mode: s.mode, Subjects: s.subjects, Schemas: map[int]keptSchema{}}
	for id, e := range s.byID {
		k.Schemas[id] = keptSchema{Schema: e.Text, References: e.References}
	}
	b, err := json.MarshalIndent(k, "", " ")
	if err != nil {
		return err
	}
	return replace(path, append(bytes.TrimSpace(b), '\n'))
}

func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".registry-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
