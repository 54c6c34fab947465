package webhooks

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"utopia/schemas"
)

// The vector of the specification, https://github.com/standard-webhooks/standard-webhooks: its own libraries test with it.
func TestSignaturesAreThoseOfStandardWebhooks(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := Secret{key}.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestEveryWebhookAndRotationHasItsOwnSecret(t *testing.T) {
	keys, seen := testKeys(t), map[string]bool{}
	for _, id := range []string{"w-1", "w-2"} {
		for _, which := range []schemas.WebhookSecret{{Version: 1, At: 1000, KeyID: "k1"}, {Version: 2, At: 1000, KeyID: "k1"}, {Version: 1, At: 2000, KeyID: "k1"}} {
			s, err := Derive(keys, id, which)
			if err != nil {
				t.Fatal(err)
			}
			if seen[s.Reveal()] || !strings.HasPrefix(s.Reveal(), "whsec_") {
				t.Errorf("%s again", id)
			}
			seen[s.Reveal()] = true
			if said := fmt.Sprintf("%v %+v %#v %s", s, s, s, s); strings.Contains(said, s.Reveal()) || strings.Contains(said, "[") {
				t.Error("printing reveals it")
			}
			if again, err := Derive(keys, id, which); err != nil || again.Reveal() != s.Reveal() {
				t.Error("another one the second time")
			}
		}
	}
	if _, err := Derive(keys, "w-1", schemas.WebhookSecret{Version: 1, At: 1, KeyID: "k2"}); err == nil {
		t.Error("made of a key that is not there")
	}
}

func TestBothSecretsSignWhileARotationIsUnderWay(t *testing.T) {
	keys, w := testKeys(t), hook("https://example.org/")
	w.Previous, w.PreviousEndsAt = schemas.WebhookSecret{Version: 1, At: 1, KeyID: "k1"}, 2000
	w.Secret = schemas.WebhookSecret{Version: 4, At: 1000, KeyID: "k1"}
	for at, want := range map[int64]int{1999: 2, 2000: 1} {
		all, err := secretsOf(keys, w, time.UnixMilli(at))
		if err != nil || len(all) != want {
			t.Errorf("at %d: %d secrets, %v", at, len(all), err)
		}
	}
	all, err := secretsOf(keys, w, time.UnixMilli(1))
	if err != nil {
		t.Fatal(err)
	}
	if got := signatures(all, "x", time.Unix(1, 0), nil); strings.Count(got, "v1,") != 2 || strings.Count(got, " ") != 1 {
		t.Error(got)
	}
}
