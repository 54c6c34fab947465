package postal

import "slices"

// Parameters of RFC 3492, section 5.
const (
	punyBase        = 36
	punyTMin        = 1
	punyTMax        = 26
	punySkew        = 38
	punyDamp        = 700
	punyInitialBias = 72
	punyInitialN    = 128
)

// punycodeLength is the number of octets that label has in Punycode (RFC 3492, section 6.3). Only the length is needed:
// what is stored and sent is the label as it was written.
func punycodeLength(label []rune) int {
	basic := 0
	for _, r := range label {
		if r < punyInitialN {
			basic++
		}
	}
	length := basic
	if basic > 0 {
		length++ // the delimiter
	}
	n, delta, bias := rune(punyInitialN), 0, punyInitialBias
	for handled := basic; handled < len(label); {
		next := slices.Max(label)
		for _, r := range label {
			if r >= n && r < next {
				next = r
			}
		}
		delta += int(next-n) * (handled + 1)
		n = next
		for _, r := range label {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			length += punyDigits(delta, bias)
			bias = punyAdapt(delta, handled+1, handled == basic)
			delta = 0
			handled++
		}
		delta++
		n++
	}
	return length
}

// punyDigits is the number of digits of delta as a generalized variable-length integer.
func punyDigits(delta, bias int) int {
	digits, q := 1, delta
	for k := punyBase; ; k += punyBase {
		t := min(max(k-bias, punyTMin), punyTMax)
		if q < t {
			return digits
		}
		q = (q - t) / (punyBase - t)
		digits++
	}
}

// punyAdapt is the bias for the next delta (RFC 3492, section 6.1).
func punyAdapt(delta, points int, first bool) int {
	if first {
		delta /= punyDamp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for delta > (punyBase-punyTMin)*punyTMax/2 {
		delta /= punyBase - punyTMin
		k += punyBase
	}
	return k + (punyBase-punyTMin+1)*delta/(delta+punySkew)
}
