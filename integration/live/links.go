package live

import (
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// NewestLink is the link for a purpose in the newest mail to an address, of the files that a mailer has written into dir; empty if there is none.
func NewestLink(dir, purpose, address string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.eml"))
	link, newest := "", time.Time{}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.ModTime().Before(newest) {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(b), "<"+address+">") {
			continue
		}
		_, body, _ := strings.Cut(string(b), "Content-Transfer-Encoding: quoted-printable")
		text, _ := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
		for _, found := range regexp.MustCompile(`http://[^\s"<]*#v1\.test\.([\w-]+)\.[\w-]+`).FindAllSubmatch(text, -1) {
			if claim, err := base64.RawURLEncoding.DecodeString(string(found[1])); err == nil && strings.Contains(string(claim), purpose) {
				link, newest = string(found[0]), info.ModTime()
			}
		}
	}
	return link
}
