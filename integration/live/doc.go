// Package live is what tests of real binaries share, whatever broker they run on: binaries that can be told where to die,
// keepers that start them again, waiting until everything has come to rest, and the independent checker's verdict.
package live
