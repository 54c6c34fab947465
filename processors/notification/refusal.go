package notification

// Code is the stable name of a refusal; there is none, because nobody asks this service for anything.
func Code(error) string { return "" }

// Refusals returns every refusal of this core: none.
func Refusals() []error { return nil }
