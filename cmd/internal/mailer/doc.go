// Package mailer sends the mails that the mail service has accepted and reports what became of them.
//
// It is a plain consumer of the outbox topic, outside every transaction: no transaction can hold a mail server. So a mail
// is sent at least once, with a Message-ID made of the mail's id, by which a receiving system can recognise a second copy;
// its fate is reported once per try to finish it, with a command id made of the same id, and the mail service records the
// first report. The package deliberately decides nothing about mails: who may send what is the mail service's business.
package mailer
