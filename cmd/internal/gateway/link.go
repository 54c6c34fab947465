package gateway

import (
	"errors"
	"time"

	"utopia/cmd/internal/links"
)

var errLinkExpired = links.ErrExpired

// verify reads what a link asks for. Anything but an expired link of ours is one error: a guess learns nothing from it.
func verify(keys links.Keys, text string, now time.Time) (links.Claims, error) {
	claims, err := links.Verify(keys, links.Token(text), now)
	if err != nil && !errors.Is(err, links.ErrExpired) {
		return links.Claims{}, links.ErrForged
	}
	return claims, err
}
