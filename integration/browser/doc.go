// Package browser drives a real browser through the pages of `utopia up`, as a person would: from the form to the mail to
// the link to what billing knows. On every page axe-core looks for what keeps people out, in light and in dark.
//
// testdata/axe.min.js is axe-core 4.14.1 (npm; Mozilla Public License 2.0) as published. It is part of no binary.
package browser
