// Package simulation runs all services together, on a broker in memory and in virtual time, while everything that can fail does, and lets
// the independent checker look at what they wrote. Hours pass in seconds. It contains tests only, of builds with the tag synctests.
//
// A schedule of faults is data (see fault): a seed makes one, a failing one is shrunk and printed with the command that runs it again.
package simulation
