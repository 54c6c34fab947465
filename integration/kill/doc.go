// Package kill holds the tests that kill real binaries: processes of their own on a broker that keeps its data on disk,
// SIGKILL under load, and the independent checker at the end. They need minutes and the build tag kill (`make kill`).
//
// They cannot show what a power cut does (the operating system survives), nor what a replicated cluster does.
package kill
