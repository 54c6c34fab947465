package gateway

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"time"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/feed"
)

// The elements of an Atom feed (RFC 4287) with the links of paged and archived feeds (RFC 5005).
type (
	atomFeed struct {
		XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
		History string      `xml:"xmlns:fh,attr"`
		ID      string      `xml:"id"`
		Title   string      `xml:"title"`
		Updated string      `xml:"updated"`
		Author  atomName    `xml:"author"`
		Links   []atomLink  `xml:"link"`
		Archive *struct{}   `xml:"fh:archive"`
		Entries []atomEntry `xml:"entry"`
	}
	atomName struct {
		Name string `xml:"name"`
	}
	atomLink struct {
		Rel  string `xml:"rel,attr"`
		Href string `xml:"href,attr"`
	}
	atomEntry struct {
		ID       string       `xml:"id"`
		Title    string       `xml:"title"`
		Updated  string       `xml:"updated"`
		Link     atomLink     `xml:"link"`
		Category atomCategory `xml:"category"`
		Content  atomContent  `xml:"content"`
	}
	atomCategory struct {
		Term string `xml:"term,attr"`
	}
	atomContent struct {
		Type string `xml:"type,attr"`
		Text string `xml:",chardata"`
	}
)

const (
	atomID    = "urn:utopia:customer-changes"
	atomEpoch = "1970-01-01T00:00:00Z" // an empty page was never updated
)

// write writes a page.
func (in *PageInput) write(p feed.Page, format string) ([]byte, error) {
	links := in.links(p)
	if format == jsonType {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false) // links have & in them
		err := e.Encode(FeedPage{Changes: p.Changes, Position: p.Next, More: p.More, Links: links})
		return b.Bytes(), err
	}
	f := atomFeed{
		History: "http://purl.org/syndication/history/1.0", ID: atomID, Title: "What has changed about customers", Updated: atomEpoch,
		Author: atomName{"Utopia"},
		Links: []atomLink{
			{"self", links.Self}, {"first", links.First}, {"next", links.Next}, {"current", links.Current},
		},
	}
	if links.Previous != "" {
		f.Links = append(f.Links, atomLink{"previous", links.Previous}, atomLink{"prev-archive", links.Previous})
	}
	if p.Settled {
		f.Archive = &struct{}{}
		f.Links = append(f.Links, atomLink{"next-archive", links.Next})
	}
	for i, c := range p.Changes {
		entry, err := entryOf(c)
		if err != nil {
			return nil, err
		}
		f.Entries = append(f.Entries, entry)
		f.Updated = p.At[i].UTC().Format(time.RFC3339)
	}
	body, err := xml.Marshal(f)
	return append([]byte(xml.Header), body...), err
}

// entryOf shows a change. Its content is text: RFC 4287 has what is neither text nor XML in base64, which nobody can read.
func entryOf(c api.Change) (atomEntry, error) {
	text, err := json.Marshal(c)
	return atomEntry{
		ID: atomID + ":" + c.ID, Title: c.ShortType() + " " + c.ID, Updated: c.Time, Link: atomLink{"related", c.Source},
		Category: atomCategory{c.Type}, Content: atomContent{"text", string(text)},
	}, err
}
