package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestTheReadmeCanBeTyped: each command line of ours in the README names a command that is there, with flags that it has.
// What they do is for the scripts; here nothing connects.
func TestTheReadmeCanBeTyped(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	typed := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "   #")
			words := shellWords(line)
			if len(words) == 0 || words[0] != "utopia" {
				continue
			}
			typed++
			if err := parses(newRoot(&app{now: time.Now}), words[1:]); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	if typed < 10 {
		t.Errorf("%d command lines found", typed)
	}
}

// parses finds the command and parses its flags and arguments without running it.
func parses(root *cobra.Command, args []string) error {
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if err := cmd.ValidateRequiredFlags(); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// shellWords splits a line at spaces outside of single quotes.
func shellWords(line string) []string {
	var words []string
	for _, m := range regexp.MustCompile(`'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1) {
		words = append(words, m[1]+m[2])
	}
	return words
}
