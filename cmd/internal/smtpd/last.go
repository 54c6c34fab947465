package smtpd

import "slices"

// Last returns the newest kept mail to this recipient that ok accepts.
func (s *Server) Last(to string, ok func(Mail) bool) (Mail, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.mails) - 1; i >= 0; i-- {
		if slices.Contains(s.mails[i].To, to) && ok(s.mails[i]) {
			return s.mails[i], true
		}
	}
	return Mail{}, false
}
