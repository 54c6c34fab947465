// Package customer is the pure core of the customer service: what may be asked of a customer, what then has happened,
// and what is to happen if nothing happens. It knows no clock, no I/O, no encoding and no topic; time and identifiers
// come in with the command. What other services make of a change is deliberately not here.
package customer
