package topics

// Limits of identifiers, in bytes.
const (
	maxID        = 64
	maxDerivedID = 160
)

// ValidID reports whether id is one that a sender may choose: 1 to 64 of A–Z a–z 0–9 . _ ~ -. Such an id needs no escaping
// in a URL (RFC 3986, unreserved characters), and can never be a derived one.
func ValidID(id string) bool { return valid(id, maxID, false) }

// ValidDerivedID reports whether id is a sender's id or one derived by a processor: at most 160 bytes, parts separated by
// '/'. Event: <key>/<version>. Deadline: due/<key>/<kind>/<dueAt>. A processor's command: <group>/<event id>/<n>.
// Only principals of the owner may write one.
func ValidDerivedID(id string) bool { return valid(id, maxDerivedID, true) }

func valid(id string, most int, slash bool) bool {
	if id == "" || len(id) > most {
		return false
	}
	for i := range len(id) {
		c := id[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '~', c == '-':
		case c == '/' && slash:
		default:
			return false
		}
	}
	return true
}
