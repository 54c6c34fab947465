package topics

import "slices"

// Dependency says that Who cannot be built, or changed, without knowing the language of On.
//
// Who sends a command knows its recipient, and so does who reads the reply; who reads a fact or a state knows the one whose
// fact it is. Nobody knows its listeners.
type Dependency struct {
	Who, On string
	Topic   string
	Why     string // "commands", "reads replies of", "listens to"
}

// Graph returns who depends on whom, by topic, in the order of the catalogue. A service does not depend on itself, and
// people who read dead letters, or what they did, depend on nobody.
func Graph() []Dependency {
	var g []Dependency
	for _, t := range All() {
		var who []string
		why := ""
		switch t.Kind {
		case Command:
			who, why = t.Writers, "commands"
		case Reply:
			who, why = t.Readers, "reads replies of"
		case Change, State:
			who, why = t.Readers, "listens to"
		case Event, Outbox, Positions, Table, Action, DeadLetters:
			continue // only the owner, and people, read them
		}
		for _, w := range who {
			if w != t.Owner {
				g = append(g, Dependency{Who: w, On: t.Owner, Topic: t.Name, Why: why})
			}
		}
	}
	return slices.Clip(g)
}
