package notification

import (
	"html"
	"strings"
)

// Message is what a mail says. It names no address: a mailbox may be somebody else's by now.
type Message struct {
	Language string // Of the text, RFC 5646.
	Subject  string
	Text     string
	HTML     string
}

// words are the sentences of one language.
type words struct {
	language       string
	hello          string // Before the name.
	addressSubject string
	address        string
	emailSubject   string
	email          string
	ask            string
}

// Compose writes what a notice of some kind says to a customer of that name, in the language of the tag language or, where
// it is not spoken here, in English. The same arguments give the same bytes.
func Compose(kind Kind, language, name string) Message {
	w := speak(language)
	subject, body := w.addressSubject, w.address
	if kind == KindEmail {
		subject, body = w.emailSubject, w.email
	}
	hello := w.hello
	if name = oneLine(name); name != "" {
		hello += " " + name
	}
	return Message{
		Language: w.language,
		Subject:  subject,
		Text:     hello + ",\n\n" + body + "\n" + w.ask + "\n",
		HTML: `<html lang="` + w.language + `"><body><p>` + html.EscapeString(hello) + ",</p><p>" +
			html.EscapeString(body) + "<br>" + html.EscapeString(w.ask) + "</p></body></html>\n",
	}
}

// oneLine makes a name fit into a sentence.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// speak finds the words of a language by the first part of its tag.
func speak(tag string) words {
	primary, _, _ := strings.Cut(tag, "-")
	switch strings.ToLower(primary) {
	case "de":
		return words{
			"de", "Guten Tag",
			"Ihre Adresse wurde geändert", "die Adresse, die wir von Ihnen haben, wurde geändert.",
			"Ihre E-Mail-Adresse wurde geändert", "die E-Mail-Adresse, die wir von Ihnen haben, wurde geändert.",
			"Wenn Sie davon nichts wissen, sagen Sie es uns bitte.",
		}
	case "fr":
		return words{
			"fr", "Bonjour",
			"Votre adresse a changé", "l’adresse que nous avons de vous a été modifiée.",
			"Votre adresse électronique a changé", "l’adresse électronique que nous avons de vous a été modifiée.",
			"Si vous n’en savez rien, merci de nous le dire.",
		}
	case "es":
		return words{
			"es", "Hola",
			"Su dirección ha cambiado", "la dirección que tenemos de usted ha cambiado.",
			"Su correo electrónico ha cambiado", "la dirección de correo electrónico que tenemos de usted ha cambiado.",
			"Si no sabe nada de ello, díganoslo, por favor.",
		}
	case "nl":
		return words{
			"nl", "Beste",
			"Uw adres is gewijzigd", "het adres dat wij van u hebben, is gewijzigd.", //nolint:misspell // Dutch.
			"Uw e-mailadres is gewijzigd", "het e-mailadres dat wij van u hebben, is gewijzigd.",
			"Weet u hier niets van? Laat het ons dan weten.",
		}
	case "it":
		return words{
			"it", "Buongiorno",
			"Il suo indirizzo è cambiato", "l’indirizzo che abbiamo di lei è stato modificato.", //nolint:misspell // Italian.
			"Il suo indirizzo e-mail è cambiato", "l’indirizzo e-mail che abbiamo di lei è stato modificato.", //nolint:misspell // Italian.
			"Se non ne sa nulla, ce lo faccia sapere.",
		}
	case "pt":
		return words{
			"pt", "Olá",
			"O seu endereço mudou", "o endereço que temos de si foi alterado.",
			"O seu endereço de e-mail mudou", "o endereço de e-mail que temos de si foi alterado.",
			"Se não sabe nada disto, diga-nos, por favor.",
		}
	case "pl":
		return words{
			"pl", "Dzień dobry",
			"Twój adres został zmieniony", "adres, który od Ciebie mamy, został zmieniony.", //nolint:misspell // Polish.
			"Twój adres e-mail został zmieniony", "adres e-mail, który od Ciebie mamy, został zmieniony.", //nolint:misspell // Polish.
			"Jeśli nic o tym nie wiesz, daj nam znać.",
		}
	}
	return words{
		"en", "Hello",
		"Your address has changed", "the address that we have for you has changed.",
		"Your e-mail address has changed", "the e-mail address that we have for you has changed.",
		"If you know nothing of this, please tell us.",
	}
}
