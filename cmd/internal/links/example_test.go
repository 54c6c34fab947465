package links_test

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"utopia/cmd/internal/links"
)

func Example() {
	keys, err := links.ParseKeys(strings.NewReader("2026:" + strings.Repeat("QUFB", 11)))
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	token, err := links.Sign(keys, links.Claims{Purpose: "confirm", Subject: "c-17", Change: "x1", ExpiresAt: now.Add(72 * time.Hour)})
	if err != nil {
		fmt.Println(err)
		return
	}
	link := links.URL(&url.URL{Scheme: "https", Host: "example.com", Path: "/confirm"}, token)
	fmt.Println(link[:strings.Index(link, "#")+1])

	c, err := links.Verify(keys, links.Token(link), now)
	fmt.Println(c.Purpose, c.Subject, c.Change, err)
	_, err = links.Verify(keys, token, now.Add(73*time.Hour))
	fmt.Println(err)
	// Output:
	// https://example.com/confirm#
	// confirm c-17 x1 <nil>
	// the link has expired
}
