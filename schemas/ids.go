package schemas

import (
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
)

// What a registry answers.
var (
	// ErrUnknownID: the registry knows no such id, or no such schema under the subject.
	ErrUnknownID = errors.New("not in the schema registry")
	// ErrRegistryDown: the registry did not answer; the question may be asked again. It wraps why.
	ErrRegistryDown = errors.New("schema registry does not answer")
)

// IDs tells which number stands for which schema. Implementations are safe for concurrent use and remember what they were
// told: an id never changes its meaning.
type IDs interface {
	// ID returns the id of the schema that this release writes under the subject. ErrUnknownID, ErrRegistryDown.
	ID(subject string) (int, error)
	// ByID returns the schema with that id, and a subject that has it. ErrUnknownID, ErrRegistryDown.
	ByID(id int) (subject, schema string, err error)
}

// MemoryIDs is a registry without a network, for tests and simulation: every embedded schema of a topic that is not private
// is registered. The ids depend on subject and revision only, so that what one build wrote another can read.
type MemoryIDs struct {
	mu      sync.Mutex
	byID    map[int]Revision
	current map[string]int // subject → id
	down    error
}

// NewMemoryIDs returns a registry with every embedded public schema.
func NewMemoryIDs() *MemoryIDs {
	m := &MemoryIDs{byID: map[int]Revision{}, current: map[string]int{}}
	s, err := compiled()
	if err != nil {
		m.down = err
		return m
	}
	for _, k := range s.byName {
		for i, r := range k.revisions {
			if r.Private() {
				continue
			}
			id := stableID(r)
			m.byID[id] = r
			if i == k.write {
				m.current[r.Subject()] = id
			}
		}
	}
	return m
}

// stableID derives an id from what the schema is called; a test refuses two with the same.
func stableID(r Revision) int {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s.%d", r.Subject(), r.Number) // a hash's Write returns no error
	return int(h.Sum32() & 0x7fffffff)
}

// ID implements IDs.
func (m *MemoryIDs) ID(subject string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return 0, fmt.Errorf("%w: %w", ErrRegistryDown, m.down)
	}
	id, ok := m.current[subject]
	if !ok {
		return 0, fmt.Errorf("%s: %w", subject, ErrUnknownID)
	}
	return id, nil
}

// ByID implements IDs.
func (m *MemoryIDs) ByID(id int) (subject, schema string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return "", "", fmt.Errorf("%w: %w", ErrRegistryDown, m.down)
	}
	r, ok := m.byID[id]
	if !ok {
		return "", "", ErrUnknownID
	}
	return r.Subject(), r.Schema, nil
}

// Add registers somebody else's schema under an id: what a newer release, or a stranger, would write. What is written does
// not change.
func (m *MemoryIDs) Add(id int, topic, record, schema string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byID[id] = Revision{Topic: topic, Record: record, Schema: schema}
}

// Break makes every question fail with ErrRegistryDown and the given reason; nil mends it.
func (m *MemoryIDs) Break(reason error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = reason
}
