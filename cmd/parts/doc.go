// Package parts lends parts of the binaries to the simulation of the whole system, which may not import cmd/internal. It is empty in
// every other build.
package parts
