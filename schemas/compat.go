package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/avro"
)

// ErrSchema says that a text is not an Avro schema.
var ErrSchema = errors.New("not an Avro schema")

// maxSchema is the largest schema text that is looked at.
const maxSchema = 1 << 20

// Mode is a promise of compatibility between the revisions of a schema, as the Confluent registry names it. Without
// _TRANSITIVE it is about the revision before only.
type Mode string

// The modes.
const (
	None               Mode = "NONE"
	Backward           Mode = "BACKWARD" // a new reader reads old records
	BackwardTransitive Mode = "BACKWARD_TRANSITIVE"
	Forward            Mode = "FORWARD" // an old reader reads new records
	ForwardTransitive  Mode = "FORWARD_TRANSITIVE"
	Full               Mode = "FULL" // both
	FullTransitive     Mode = "FULL_TRANSITIVE"
)

// Modes returns every mode.
func Modes() []Mode {
	return []Mode{None, Backward, BackwardTransitive, Forward, ForwardTransitive, Full, FullTransitive}
}

// ParseMode reads a mode's name.
func ParseMode(s string) (Mode, error) {
	for _, m := range Modes() {
		if string(m) == s {
			return m, nil
		}
	}
	names := make([]string, 0, len(Modes()))
	for _, m := range Modes() {
		names = append(names, string(m))
	}
	return "", fmt.Errorf("compatibility %q is none of %s", s, strings.Join(names, ", "))
}

// ModeOf returns the promise that this system makes for a record: what others read stays compatible both ways for ever,
// what is private only has to stay readable.
func ModeOf(record string) Mode {
	if private(record) {
		return BackwardTransitive
	}
	return FullTransitive
}

// directions tells which way round a mode compares.
func (m Mode) directions() (backward, forward, transitive bool) {
	switch m {
	case None:
	case Backward:
		return true, false, false
	case BackwardTransitive:
		return true, false, true
	case Forward:
		return false, true, false
	case ForwardTransitive:
		return false, true, true
	case Full:
		return true, true, false
	case FullTransitive:
		return true, true, true
	}
	return false, false, false
}

// IncompatibleError says every way in which a schema breaks a promise.
type IncompatibleError struct {
	Mode     Mode
	Problems []string // one sentence each
}

// Error implements error.
func (e *IncompatibleError) Error() string {
	return fmt.Sprintf("not %s: %s", e.Mode, strings.Join(e.Problems, "; "))
}

// Unwrap makes errors.Is(err, ErrIncompatible) true.
func (e *IncompatibleError) Unwrap() error { return ErrIncompatible }

// CheckCompatibility reports whether schema may follow the earlier revisions, oldest first. ErrSchema if a text is no
// schema; an *IncompatibleError that lists what is wrong otherwise.
func CheckCompatibility(mode Mode, schema string, earlier ...string) error {
	backward, forward, transitive := mode.directions()
	next, err := parse(schema)
	if err != nil {
		return err
	}
	first := 0
	if !transitive && len(earlier) > 0 {
		first = len(earlier) - 1
	}
	var problems []string
	for i := first; i < len(earlier); i++ {
		old, err := parse(earlier[i])
		if err != nil {
			return fmt.Errorf("revision %d: %w", i+1, err)
		}
		if backward {
			if err := avro.CheckCompatibility(old, next); err != nil {
				problems = append(problems, fmt.Sprintf("the new schema cannot read records of revision %d: %s", i+1, reason(err)))
			}
		}
		if forward {
			if err := avro.CheckCompatibility(next, old); err != nil {
				problems = append(problems, fmt.Sprintf("revision %d cannot read records of the new schema: %s", i+1, reason(err)))
			}
		}
	}
	if len(problems) > 0 {
		return &IncompatibleError{Mode: mode, Problems: problems}
	}
	return nil
}

// reason says an incompatibility in words.
func reason(err error) string {
	var ce *avro.CompatibilityError
	if errors.As(err, &ce) {
		return fmt.Sprintf("%s: %s", ce.Path, ce.Detail)
	}
	return err.Error()
}

// FullName returns the full name of a record schema, of another type its name. ErrSchema.
func FullName(schema string) (string, error) {
	p, err := parse(schema)
	if err != nil {
		return "", err
	}
	return typeName(p.Root()), nil
}

// typeName is the full name of a named type, of another its kind.
func typeName(n *avro.SchemaNode) string {
	if n.Name == "" {
		return n.Type
	}
	return fullName(n)
}

// Same reports whether two schema texts say the same, whatever their layout, documentation and order of keys. A registry
// gives both the same id. Defaults and aliases count: they change how records are read. ErrSchema.
func Same(a, b string) (bool, error) {
	pa, err := parse(a)
	if err != nil {
		return false, err
	}
	pb, err := parse(b)
	if err != nil {
		return false, err
	}
	ca, err := normal(pa)
	if err != nil {
		return false, err
	}
	cb, err := normal(pb)
	if err != nil {
		return false, err
	}
	return ca == cb, nil
}

// parse is avro.Parse with a limit.
func parse(schema string) (*avro.Schema, error) {
	if len(schema) > maxSchema {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrSchema, maxSchema)
	}
	p, err := avro.Parse(schema)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return p, nil
}

// normal is what a schema says, without documentation and in one layout: the parsing canonical form, which resolves names
// and leaves out everything but names and types, and then what that leaves out.
func normal(s *avro.Schema) (string, error) {
	extras, err := json.Marshal(extras(nil, s.Root()))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return string(s.Canonical()) + string(extras), nil
}

func extras(out []any, n *avro.SchemaNode) []any {
	if n == nil {
		return out
	}
	out = append(out, n.LogicalType, n.Precision, n.Scale, n.Aliases, n.EnumDefault)
	for i := range n.Fields {
		f := &n.Fields[i]
		out = append(out, f.HasDefault, f.Default, f.Aliases, f.Order)
		out = extras(out, &f.Type)
	}
	for i := range n.Branches {
		out = extras(out, &n.Branches[i])
	}
	return extras(extras(out, n.Items), n.Values)
}
