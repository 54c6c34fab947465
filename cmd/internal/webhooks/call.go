package webhooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"utopia/cmd/internal/links"
	"utopia/schemas"
)

// Codes of how a call went, beside status_NNN. They are all that is told of it: what a receiver answers is nobody's business.
const (
	// Taken is the code of a call that was answered with 2xx.
	Taken       = "taken"
	codeGone    = "status_410"
	codeRefused = "refused_target"
	codeTimeout = "timeout"
	codeTLS     = "tls"
	codeConnect = "connect"
	codeKey     = "unknown_key"
	codeState   = "state_not_ready"
)

// outcome is how one call went.
type outcome struct {
	code  string
	after time.Duration // the receiver asked not to be called before; 0: it did not
}

func (o outcome) taken() bool { return o.code == Taken }

// caller makes one call. Production has http, tests what they like.
type caller interface {
	call(ctx context.Context, w *schemas.WebhookState, m message) outcome
}

// message is what is told once or more.
type message struct {
	id   string
	body []byte
}

// httpCaller posts, signed.
type httpCaller struct {
	guard  Guard
	client *http.Client
	keys   links.Keys
}

func (c *httpCaller) call(ctx context.Context, w *schemas.WebhookState, m message) outcome {
	if c.guard.Check(w.URL) != nil {
		return outcome{code: codeRefused}
	}
	now := time.Now()
	secrets, err := secretsOf(c.keys, w, now)
	if err != nil {
		return outcome{code: codeKey}
	}
	ctx, cancel := context.WithTimeout(ctx, attemptWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(m.body))
	if err != nil {
		return outcome{code: codeRefused}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "utopia-webhook/1")
	req.Header.Set("Webhook-Id", m.id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", signatures(secrets, m.id, now, m.body))
	resp, err := c.client.Do(req)
	if err != nil {
		return outcome{code: failure(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // the status has said it
	if resp.StatusCode/100 == 2 {
		return outcome{code: Taken}
	}
	return outcome{code: "status_" + strconv.Itoa(resp.StatusCode), after: retryAfter(resp.Header.Get("Retry-After"), now)}
}

// failure is the code of a call without an answer. The error itself may quote the URL.
func failure(err error) string {
	var timeout net.Error
	var record tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.Is(err, ErrAddress):
		return codeRefused
	case errors.As(err, &record), errors.As(err, &certificate), errors.As(err, &authority):
		return codeTLS
	case errors.As(err, &timeout) && timeout.Timeout():
		return codeTimeout
	}
	return codeConnect
}

// retryAfter reads a header that is seconds or a date.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
