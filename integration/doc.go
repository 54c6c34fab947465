// Package integration holds what needs several parts at once: scenarios, simulation, kills of real binaries, the
// independent checker, clients of other languages and benchmarks. Nothing here is imported by the product.
package integration
