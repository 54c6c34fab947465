//go:build synctests

package eos

import "time"

// What only the simulation of the whole system needs, in builds that are made for it.

// Sabotage makes a processor commit the named mistakes that the function says yes to. It is for the test of the tests.
func (c *Config) Sabotage(mistake func(string) bool) { c.sabotage = mistake }

// RebalanceWithin shortens the time that the group waits for a member that does not rejoin.
func (c *Config) RebalanceWithin(d time.Duration) { c.rebalanceTimeout = d }

// Sabotage makes a view commit the named mistakes that the function says yes to.
func (c *ViewConfig) Sabotage(mistake func(string) bool) { c.sabotage = mistake }
