package processors

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"utopia/schemas"
)

const (
	// handledWindow is how many command ids a row remembers. A retry within that many commands of one key gets the
	// first answer again; one further back is decided anew.
	handledWindow = 32
	// forgetRefusalsAfter is how long a row that remembers nothing but refusals is kept.
	forgetRefusalsAfter = 24 * time.Hour
)

// hash64 is the first 8 bytes of SHA-256. Ids of commands are remembered in this form: 32 of them a row, so that the
// chance of two meeting is below 2^-53 a row.
func hash64(b []byte) int64 {
	sum := sha256.Sum256(b)
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // a hash has no sign
}

// bodyHash is the hash of a command without its metadata: two sendings of one command have the same, whatever
// correlation or reply address they carry, and whichever release reads them. buf is scratch space; the grown one is returned.
func bodyHash(c schemas.Command, buf []byte) (int64, []byte, error) {
	meta := c.Metadata()
	saved := *meta
	*meta = schemas.Metadata{}
	b, err := schemas.AppendIdentity(buf[:0], c)
	*meta = saved
	if err != nil {
		return 0, buf, err
	}
	return hash64(b), b, nil
}

// findHandled looks for a command: same is its remembered outcome, reused says that the id belongs to another body.
func findHandled(handled []schemas.Handled, id, body int64) (found schemas.Handled, same, reused bool) {
	for i := len(handled) - 1; i >= 0; i-- {
		switch {
		case handled[i].ID != id:
		case handled[i].Body == body, handled[i].Body == 0: // 0: told by an event, which does not know the body
			return handled[i], true, false
		default:
			reused = true
		}
	}
	return schemas.Handled{}, false, reused
}

// pushHandled returns a new window with h as its newest entry, and the entry that had to leave for it, if one had.
func pushHandled(handled []schemas.Handled, h schemas.Handled) ([]schemas.Handled, *schemas.Handled) {
	var out *schemas.Handled
	if len(handled) >= handledWindow {
		out = &handled[len(handled)-handledWindow]
		handled = handled[len(handled)-handledWindow+1:]
	}
	next := make([]schemas.Handled, 0, len(handled)+1)
	return append(append(next, handled...), h), out
}

// refusalsForgottenAt is when a row that remembers only refusals is removed.
func refusalsForgottenAt(handled []schemas.Handled) time.Time {
	return time.Unix(handled[len(handled)-1].At, 0).UTC().Add(forgetRefusalsAfter)
}
