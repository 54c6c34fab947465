package webhooks

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"utopia/schemas"
	"utopia/topics"
)

// since is where a log's changes begin whose time is their offset.
func since(_ int32, ms int64) (int64, error) { return ms, nil }

func wish(version, from int64, customer string) schemas.WebhookRedelivery {
	return schemas.WebhookRedelivery{Version: version, FromAt: from, CustomerID: customer}
}

// Whatever was asked for while nothing was called is told when calls go on, also what a state of the first revision has.
func TestEveryWishIsTaken(t *testing.T) {
	const count = 12
	first := "c-1"
	part := topics.Partition(first, count)
	neighbour, stranger := customerIn(part, true), customerIn(part, false)
	at := func(offset, begun int64, only string, until int64) schemas.WebhookPosition {
		return schemas.WebhookPosition{WebhookID: "w-1", Partition: part, Offset: offset, Redelivery: begun, Only: only, Until: until}
	}
	for name, tt := range map[string]struct {
		from   schemas.WebhookPosition
		wishes []schemas.WebhookRedelivery // the last is in the field that was there first
		want   schemas.WebhookPosition
	}{
		"none":                         {at(10, 0, "", 0), nil, at(10, 0, "", 0)},
		"one":                          {at(10, 0, "", 0), []schemas.WebhookRedelivery{wish(3, 4, first)}, at(4, 3, first, 10)},
		"one that has begun":           {at(10, 3, "", 0), []schemas.WebhookRedelivery{wish(3, 4, first)}, at(10, 3, "", 0)},
		"two":                          {at(10, 0, "", 0), []schemas.WebhookRedelivery{wish(3, 4, first), wish(4, 6, first)}, at(4, 4, first, 10)},
		"the second of two":            {at(10, 3, "", 0), []schemas.WebhookRedelivery{wish(3, 4, first), wish(4, 6, first)}, at(6, 4, first, 10)},
		"two customers":                {at(10, 0, "", 0), []schemas.WebhookRedelivery{wish(3, 4, first), wish(4, 2, neighbour)}, at(2, 4, neighbour, 4)},
		"one of another partition":     {at(10, 0, "", 0), []schemas.WebhookRedelivery{wish(3, 4, first), wish(4, 2, stranger)}, at(4, 4, first, 10)},
		"a copy that is behind":        {at(10, 4, "", 0), []schemas.WebhookRedelivery{wish(3, 4, first)}, at(10, 4, "", 0)},
		"what was merged after it had": {at(10, 3, "", 0), []schemas.WebhookRedelivery{wish(4, 4, ""), wish(5, 6, first)}, at(4, 5, "", 0)},
	} {
		t.Run(name, func(t *testing.T) {
			w := &schemas.WebhookState{WebhookFields: schemas.WebhookFields{WebhookID: "w-1"}}
			if n := len(tt.wishes); n > 0 {
				w.Redelivery, w.EarlierRedeliveries = tt.wishes[n-1], tt.wishes[:n-1]
			}
			s := &Sender{positions: newPositions(), count: count}
			s.positions.save(tt.from)
			got, err := s.place(w, part, since)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v, position (-want +got):\n%s", err, diff)
			}
		})
	}
}

// customerIn is a customer whose changes are in a partition, or not.
func customerIn(part int32, in bool) string {
	id := "c-x"
	for (topics.Partition(id, 12) == part) != in {
		id += "x"
	}
	return id
}

// Whatever a wish meets: what was still to be told is told, and so is what it asks for; and more only where both have begun.
func TestAWishEndsNothing(t *testing.T) {
	customers := []string{"a", "b", "c"}
	for at := range int64(7) {
		for _, customer := range []string{"", "a", "b"} {
			for _, from := range positionsBelow(6) {
				got := rewound(from, at, customer)
				for offset := range int64(8) {
					for _, of := range customers {
						want := offset >= at && (customer == "" || customer == of) || tells(from, offset, of)
						more := !want && offset >= max(at, from.Offset) // where two wishes meet
						if told := tells(got, offset, of); told != want && (!told || !more) {
							t.Fatalf("%+v, asked for %q from %d: %+v tells %s at %d: %v", from, customer, at, got, of, offset, told)
						}
					}
				}
			}
		}
	}
}

// positionsBelow are those with small numbers, also such as need not be.
func positionsBelow(n int64) []schemas.WebhookPosition {
	var all []schemas.WebhookPosition
	for offset := range n {
		for until := range n + 1 {
			for _, only := range []string{"", "a", "b"} {
				all = append(all, schemas.WebhookPosition{Offset: offset, Only: only, Until: until})
			}
		}
	}
	return all
}
