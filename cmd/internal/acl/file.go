package acl

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// File is the rights of one principal.
type File struct {
	Principal string // User:customer
	Rights    []Right
}

// DefaultPrincipal is the principal that a binary is expected to log in as.
func DefaultPrincipal(name string) string { return "User:" + name }

// Print writes f as Parse reads it.
func (f File) Print(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "principal %s\n", f.Principal); err != nil {
		return err
	}
	for _, r := range f.Rights {
		if _, err := fmt.Fprintf(w, "%-70s # %s\n", r, r.Why); err != nil {
			return err
		}
	}
	return nil
}

// Parse reads the rights of principals: a line "principal NAME", and under it lines "OPERATION RESOURCE NAME", where a name
// that ends with * is a prefix. What follows # is for people. Errors name the line.
func Parse(in io.Reader) ([]File, error) {
	var files []File
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		text, why, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		switch {
		case len(words) == 0:
			continue
		case words[0] == "principal":
			if len(words) != 2 || !strings.Contains(words[1], ":") {
				return nil, fmt.Errorf("line %d: want principal User:NAME", n)
			}
			files = append(files, File{Principal: words[1]})
			continue
		case len(files) == 0:
			return nil, fmt.Errorf("line %d: no line above it says whose right it is", n)
		case len(words) != 3:
			return nil, fmt.Errorf("line %d: want OPERATION RESOURCE NAME", n)
		}
		r, err := parseRight(words)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		r.Why = strings.TrimSpace(why)
		last := &files[len(files)-1]
		last.Rights = append(last.Rights, r)
	}
	return files, lines.Err()
}

func parseRight(words []string) (r Right, err error) {
	if r.Operation, err = kmsg.ParseACLOperation(words[0]); err != nil {
		return r, err
	}
	if r.Resource, err = kmsg.ParseACLResourceType(words[1]); err != nil {
		return r, err
	}
	r.Name, r.Prefix = strings.CutSuffix(words[2], "*")
	if r.Name == "" {
		return r, fmt.Errorf("%q would be everything", words[2])
	}
	return r, nil
}
