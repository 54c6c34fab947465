package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// idCache remembers what a registry said: an id never changes its meaning there. It is kept in one small file, rewritten
// whole at each of the few changes.
type idCache struct {
	file string // empty: in memory only
	mu   sync.Mutex
	all  idCacheFile
}

// idCacheFile is the file. Another registry's ids mean something else, so its addresses are part of it.
type idCacheFile struct {
	Registry []string        `json:"registry"`
	Schemas  []idCacheSchema `json:"schemas"`
}

type idCacheSchema struct {
	ID      int    `json:"id"`
	Subject string `json:"subject"`
	Schema  string `json:"schema"`
}

func openIDCache(file string, urls []string) (*idCache, error) {
	urls = slices.Sorted(slices.Values(urls))
	c := &idCache{file: file, all: idCacheFile{Registry: urls}}
	if file == "" {
		return c, nil
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cache of schema ids: %w", err)
	}
	var kept idCacheFile
	if json.Unmarshal(b, &kept) == nil && slices.Equal(kept.Registry, urls) {
		c.all = kept // anything else is as good as no cache
	}
	return c, nil
}

// id returns the id of a revision.
func (c *idCache) id(rev Revision) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.all.Schemas {
		if s.Subject == rev.Subject() && s.Schema == rev.Schema {
			return s.ID, true
		}
	}
	return 0, false
}

// schema returns the schema with an id.
func (c *idCache) schema(id int) (subject, schema string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.all.Schemas {
		if s.ID == id {
			return s.Subject, s.Schema, true
		}
	}
	return "", "", false
}

// put remembers a schema. An id that means something else than it did shows that the registry was replaced: everything
// else that it said is forgotten too.
//
// A file that cannot be written is no error: the registry has answered, and a full disk must not turn its answer into a
// verdict about a record. The next change writes the whole file again.
func (c *idCache) put(id int, subject, schema string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := idCacheSchema{ID: id, Subject: subject, Schema: schema}
	for i, s := range c.all.Schemas {
		if s == fresh {
			return
		}
		if s.ID == id {
			if same, err := Same(s.Schema, schema); err == nil && same {
				c.all.Schemas[i] = fresh // written another way
				_ = c.save()
				return
			}
			c.all.Schemas = nil
			break
		}
	}
	c.all.Schemas = append(c.all.Schemas, fresh)
	_ = c.save()
}

// save replaces the file; a crash leaves the old one or the new one.
func (c *idCache) save() error {
	if c.file == "" {
		return nil
	}
	b, err := json.MarshalIndent(c.all, "", "  ")
	if err != nil {
		return fmt.Errorf("cache of schema ids: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(c.file), 0o700); err != nil {
		return fmt.Errorf("cache of schema ids: %w", err)
	}
	if err := os.WriteFile(c.file+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("cache of schema ids: %w", err)
	}
	if err := os.Rename(c.file+".new", c.file); err != nil {
		return fmt.Errorf("cache of schema ids: %w", err)
	}
	return nil
}
