package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"utopia/cmd/internal/run"
)

// format is the value of -o.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatYAML  format = "yaml"
)

// String implements pflag.Value.
func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }

// Set implements pflag.Value.
func (f *format) Set(s string) error {
	if !slices.Contains([]format{formatTable, formatJSON, formatYAML}, format(s)) {
		return run.Usagef("%q is none of table, json, yaml", s)
	}
	*f = format(s)
	return nil
}

// output adds -o to a command.
func output(cmd *cobra.Command) *format {
	f := formatTable
	cmd.Flags().VarP(&f, "output", "o", "print as table, json or yaml")
	complete(cmd, "output", string(formatTable), string(formatJSON), string(formatYAML))
	return &f
}

// complete offers fixed values for a flag to the shell.
func complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag is not defined: a defect of this program
	}
}

// styles of the little colour that tables have; lipgloss' writer takes it away
// where nobody can see it.
func bold(s string) string   { return lipgloss.NewStyle().Bold(true).Render(s) }
func dim(s string) string    { return lipgloss.NewStyle().Faint(true).Render(s) }
func green(s string) string  { return lipgloss.NewStyle().Foreground(lipgloss.Green).Render(s) }
func red(s string) string    { return lipgloss.NewStyle().Foreground(lipgloss.Red).Render(s) }
func yellow(s string) string { return lipgloss.NewStyle().Foreground(lipgloss.Yellow).Render(s) }

// line prints one line through lipgloss' writer: without colour codes in a pipe.
func line(w io.Writer, format string, args ...any) {
	_, _ = lipgloss.Fprintln(w, fmt.Sprintf(format, args...))
}

// table prints rows as aligned columns, as wide as they look: scripts of the
// whole world are in them.
func table(w io.Writer, header []string, rows [][]string) {
	widths := make([]int, len(header))
	for _, r := range append([][]string{header}, rows...) {
		for i, cell := range r {
			widths[i] = max(widths[i], lipgloss.Width(cell))
		}
	}
	for n, r := range append([][]string{header}, rows...) {
		var b strings.Builder
		for i, cell := range r {
			pad := strings.Repeat(" ", widths[i]-lipgloss.Width(cell))
			if n == 0 {
				cell = bold(cell)
			}
			b.WriteString(cell)
			if i < len(r)-1 {
				b.WriteString(pad + "  ")
			}
		}
		line(w, "%s", strings.TrimRight(b.String(), " "))
	}
}

// fields prints name and value pairs as two columns, leaving out empty values.
func fields(w io.Writer, pairs ...string) {
	width := 0
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			width = max(width, lipgloss.Width(pairs[i]))
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		pad := strings.Repeat(" ", width-lipgloss.Width(pairs[i]))
		for n, part := range strings.Split(pairs[i+1], "\n") {
			name := bold(pairs[i]) + pad
			if n > 0 {
				name = strings.Repeat(" ", width)
			}
			line(w, "%s  %s", name, part)
		}
	}
}

// print writes v in the chosen format; asTable writes the table form.
func (f format) print(w io.Writer, v any, asTable func()) error {
	switch f {
	case formatTable:
		asTable()
		return nil
	case formatJSON:
		return writeJSON(w, v)
	case formatYAML:
		return writeYAML(w, v)
	}
	return fmt.Errorf("format %q", f)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// writeYAML goes by way of JSON, which YAML includes: names and order are then
// the same in both.
func writeYAML(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return err
	}
	block(&doc)
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return err
	}
	return e.Close()
}

// block takes the braces and quotes of JSON off a document.
func block(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		block(c)
	}
}
