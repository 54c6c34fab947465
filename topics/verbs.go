package topics

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// What Check refuses.
var (
	// ErrVerb: a command does not begin, or an event does not end, with a verb of the catalogue.
	ErrVerb = errors.New("verb is not in the catalogue")
	// ErrNotOwned: a command's namespace is not that of the service that receives it.
	ErrNotOwned = errors.New("command is not owned by its recipient")
	// ErrPrivateReader: somebody else than the owner would read or write a private topic.
	ErrPrivateReader = errors.New("private topic is open to others")
	// ErrName: a topic's name does not follow <aggregate>.<kind>.v<major>, or a table's <group>-table.
	ErrName = errors.New("name does not follow the grammar")
	// ErrDuplicate: a topic's name or a record type is used twice.
	ErrDuplicate = errors.New("name is used twice")
)

// CommandVerbs returns the verbs that a command may begin with: imperative, in the recipient's words. A new one is added
// here on purpose, after the question whether one of these says it already.
func CommandVerbs() []string {
	return []string{
		"Apply", "Cancel", "Change", "Close", "Confirm", "Erase", "Expire", "Forget", "Issue", "Pause", "Pay", "Record", "Redeliver",
		"Register", "Remind", "Request", "Resume", "Rotate", "Send",
	}
}

// EventVerbs returns the verbs that an event may end with: past tense, in the owner's words.
func EventVerbs() []string {
	return []string{
		"Accepted", "Applied", "Cancelled", "Changed", "Closed", "Confirmed", "Corrected", "Delivered", "Disabled", "Erased", "Expired",
		"Failed", "Forgotten", "Frozen", "Issued", "Moved", "Outdated", "Paid", "Paused", "Readdressed", "Recorded", "Registered",
		"Reminded", "Requested", "Resumed", "Rotated", "Scheduled", "Sent", "Undeliverable", "Updated",
	}
}

// Check returns every way in which a catalogue breaks the house rules, joined: see the errors of this package.
func Check(catalogue []Topic) error {
	var errs []error
	seen := map[string]bool{}
	for _, t := range catalogue {
		if seen[t.Name] {
			errs = append(errs, fmt.Errorf("%s: %w", t.Name, ErrDuplicate))
		}
		seen[t.Name] = true
		errs = append(errs, checkName(t), checkPrivate(t))
		if t.Kind == DeadLetters {
			continue // carries what its origin carries
		}
		for _, r := range t.Records {
			if seen[r] {
				errs = append(errs, fmt.Errorf("%s: %s: %w", t.Name, r, ErrDuplicate))
			}
			seen[r] = true
			errs = append(errs, checkRecord(t, r))
		}
	}
	return errors.Join(errs...)
}

func checkName(t Topic) error {
	name := strings.TrimSuffix(t.Name, ".dlq")
	if t.Kind == Table {
		if name != t.Owner+"-table" {
			return fmt.Errorf("%s: %w", t.Name, ErrName)
		}
		return nil
	}
	part := strings.Split(name, ".")
	wellFormed := len(part) == 3 && part[0] == t.Owner && len(part[2]) > 1 && part[2][0] == 'v'
	if !wellFormed || (t.Kind != DeadLetters && part[1] != string(t.Kind)) {
		return fmt.Errorf("%s: %w", t.Name, ErrName)
	}
	return nil
}

func checkPrivate(t Topic) error {
	if !t.Private() {
		return nil
	}
	for _, p := range slices.Concat(t.Readers, t.Writers) {
		if p != t.Owner {
			return fmt.Errorf("%s: %s: %w", t.Name, p, ErrPrivateReader)
		}
	}
	return nil
}

func checkRecord(t Topic, record string) error {
	word := camel(record[strings.LastIndexByte(record, '.')+1:])
	switch t.Kind {
	case Command:
		if !strings.HasPrefix(record, "utopia."+t.Owner+".") || !slices.Contains(t.Readers, t.Owner) {
			return fmt.Errorf("%s: %s: %w", t.Name, record, ErrNotOwned)
		}
		if !slices.Contains(CommandVerbs(), word[0]) {
			return fmt.Errorf("%s: %s: %w", t.Name, record, ErrVerb)
		}
	case Event, Change:
		if !slices.Contains(EventVerbs(), word[len(word)-1]) {
			return fmt.Errorf("%s: %s: %w", t.Name, record, ErrVerb)
		}
	case Reply, State, Outbox, Positions, Table, Action, DeadLetters:
		// Outcomes, states and rows are nouns.
	}
	return nil
}

// camel splits a name before each capital letter; it returns at least one word.
func camel(name string) []string {
	var words []string
	start := 0
	for i, r := range name {
		if i > start && unicode.IsUpper(r) {
			words = append(words, name[start:i])
			start = i
		}
	}
	return append(words, name[start:])
}
