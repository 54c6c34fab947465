//go:build synctests

package simulation

// turn is a mutex for those who may sleep while they have it. Waiting for a sync.Mutex would stop virtual time.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// Lock waits for the turn.
func (t turn) Lock() { t <- struct{}{} }

// Unlock ends it.
func (t turn) Unlock() { <-t }
