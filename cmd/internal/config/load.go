package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

const (
	envPrefix = "UTOPIA_"
	// delimiter splits nested keys; no setting is nested, so that the name of a
	// setting is the same in all three places.
	delimiter = "."
)

// Load merges flags (already parsed into fs), environment and file into c and
// checks the result. Each problem is named with the setting and where its value
// came from, all of them at once; the error wraps ErrInvalid.
//
// An unknown key in the file is an error, because it is a spelling mistake. An
// unknown UTOPIA_ variable is not, because platforms put such variables into
// every process; Ignored lists them.
func (c *Config) Load(fs *pflag.FlagSet, environ []string) error {
	c.origins = map[string]string{}
	if f := fs.Lookup("config"); f != nil && !f.Changed {
		for _, kv := range environ {
			if v, ok := strings.CutPrefix(kv, envPrefix+"CONFIG="); ok {
				c.File = v
			}
		}
	}
	merged := koanf.New(delimiter)
	if err := c.mergeFile(merged); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := c.mergeEnv(merged, environ); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := c.mergeFlags(merged, fs); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := c.adopt(merged, fs); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := c.validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// Ignored returns the UTOPIA_ variables that name no setting.
func (c *Config) Ignored() []string { return slices.Clone(c.ignored) }

func (c *Config) mergeFile(into *koanf.Koanf) error {
	if c.File == "" {
		return nil
	}
	read := koanf.New(delimiter)
	if err := read.Load(file.Provider(c.File), yaml.Parser()); err != nil {
		return fmt.Errorf("--config %s: %w", c.File, err)
	}
	known := Names()
	var errs []error
	for _, key := range read.Keys() {
		if !slices.Contains(known, key) {
			errs = append(errs, fmt.Errorf("--config %s: there is no setting %q%s", c.File, key, suggest(key, known)))
			continue
		}
		c.origins[key] = "file " + filepath.Base(c.File)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return into.Merge(read)
}

func (c *Config) mergeEnv(into *koanf.Koanf, environ []string) error {
	known := Names()
	c.ignored = nil
	return into.Load(env.Provider("", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(k, v string) (string, any) {
			name := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(k, envPrefix)), "_", "-")
			switch {
			case name == "config":
				return "", nil
			case !slices.Contains(known, name):
				c.ignored = append(c.ignored, k)
				return "", nil
			}
			c.origins[name] = k
			return name, v
		},
	}), nil)
}

func (c *Config) mergeFlags(into *koanf.Koanf, fs *pflag.FlagSet) error {
	known := Names()
	return into.Load(posflag.ProviderWithFlag(fs, delimiter, into, func(f *pflag.Flag) (string, any) {
		if !slices.Contains(known, f.Name) {
			return "", nil
		}
		if f.Changed {
			c.origins[f.Name] = "flag"
		}
		return f.Name, posflag.FlagVal(fs, f)
	}), nil)
}

// adopt writes what environment and file say into the variables of the flags,
// through the flags' own parsers, so that a value is read by one rule wherever
// it stands.
func (c *Config) adopt(merged *koanf.Koanf, fs *pflag.FlagSet) error {
	var errs []error
	for _, s := range settings() {
		if s.set&c.sets == 0 || !merged.Exists(s.name) {
			continue
		}
		origin := c.origins[s.name]
		value, err := asText(merged.Get(s.name))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s (from %s): %w", s.name, origin, err))
			continue
		}
		if s.bind == nil {
			*s.text(c) = value
			continue
		}
		if f := fs.Lookup(s.name); f != nil && !f.Changed && origin != "" {
			if err := fs.Set(s.name, value); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", origin, err))
			}
		}
	}
	return errors.Join(errs...)
}

// asText writes a value of the file the way a flag would carry it.
func asText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []string:
		return strings.Join(v, ","), nil
	case []any:
		var parts []string
		for _, e := range v {
			part, err := asText(e)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, ","), nil
	case map[string]any:
		return "", errors.New("is a mapping, but settings are not nested")
	default:
		return fmt.Sprint(v), nil
	}
}

// suggest names the setting that was probably meant, if one is near.
func suggest(key string, known []string) string {
	best := Nearest(key, known)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// Nearest returns the name that was probably meant by a misspelt one: two
// letters away at most. Empty if there is none.
func Nearest(misspelt string, known []string) string {
	best, distance := "", 3
	for _, name := range known {
		if d := editDistance(misspelt, name); d < distance {
			best, distance = name, d
		}
	}
	return best
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
