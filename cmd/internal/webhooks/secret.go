package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"utopia/cmd/internal/links"
	"utopia/schemas"
)

// Secret signs what one webhook is told. It is derived, and so in no topic and no store.
type Secret struct{ key []byte }

// Reveal returns the secret as its receiver needs it: whsec_ and base64, as Standard Webhooks has it.
func (s Secret) Reveal() string { return "whsec_" + base64.StdEncoding.EncodeToString(s.key) }

// String keeps the secret out of messages.
func (Secret) String() string { return "whsec_…" }

// GoString keeps it out of %#v.
func (s Secret) GoString() string { return s.String() }

// Derive makes the secret of a webhook. It depends on the webhook's id and on the event that set it, version and time, so that
// another webhook or another rotation has another one. links.ErrUnknownKey.
func Derive(keys links.Keys, id string, which schemas.WebhookSecret) (Secret, error) {
	key, err := keys.Derive(which.KeyID, "webhook v1", fmt.Appendf(nil, "%s %d %d", id, which.Version, which.At))
	return Secret{key}, err
}

// sign is the signature of one call at a time, Standard Webhooks' v1.
func (s Secret) sign(id string, at time.Time, body []byte) string {
	h := hmac.New(sha256.New, s.key)
	_, _ = h.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	_, _ = h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// signatures are what the header webhook-signature has: the present secret's first, and while a rotation is under way the one
// before's.
func signatures(secrets []Secret, id string, at time.Time, body []byte) string {
	var all []string
	for _, s := range secrets {
		all = append(all, s.sign(id, at, body))
	}
	return strings.Join(all, " ")
}

// secretsOf are the secrets that sign at a time.
func secretsOf(keys links.Keys, w *schemas.WebhookState, at time.Time) ([]Secret, error) {
	now, err := Derive(keys, w.WebhookID, w.Secret)
	if err != nil {
		return nil, err
	}
	all := []Secret{now}
	if w.Previous.Version > 0 && at.Before(schemas.Time(w.PreviousEndsAt)) {
		before, err := Derive(keys, w.WebhookID, w.Previous)
		if err != nil {
			return nil, err
		}
		all = append(all, before)
	}
	return all, nil
}
