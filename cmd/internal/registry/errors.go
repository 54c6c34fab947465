package registry

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is an answer of the registry other than success, with the code that clients of the Confluent registry switch on:
// its first three digits are the HTTP status.
type Error struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

// Status is the HTTP status of the answer.
func (e *Error) Status() int {
	if e.Code > 999 {
		return e.Code / 100
	}
	return e.Code
}

// The codes, as the Confluent registry documents them.
const (
	codeSubjectNotFound        = 40401
	codeVersionNotFound        = 40402
	codeSchemaNotFound         = 40403
	codeSubjectDeleted         = 40404
	codeSubjectNotDeleted      = 40405
	codeVersionDeleted         = 40406
	codeVersionNotDeleted      = 40407
	codeNoSubjectCompatibility = 40408
	codeNoSubjectMode          = 40409
	codeIncompatible           = 409
	codeInvalidSchema          = 42201
	codeInvalidVersion         = 42202
	codeInvalidCompatibility   = 42203
	codeInvalidMode            = 42204
	codeNotPermitted           = 42205
	codeReferenceExists        = 42206
	codeInvalidSubject         = 42208
	codeStore                  = 50001
)

func errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func subjectNotFound(subject string) *Error {
	return errorf(codeSubjectNotFound, "Subject '%s' not found.", subject)
}

func versionNotFound(version int) *Error {
	return errorf(codeVersionNotFound, "Version %d not found.", version)
}

func schemaNotFound(id int) *Error { return errorf(codeSchemaNotFound, "Schema %d not found", id) }

// asError makes an answer of any error; what is not ours is the store's.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return errorf(http.StatusRequestEntityTooLarge, "The request is longer than %d bytes.", long.Limit)
	}
	return errorf(codeStore, "Error in the backend data store: %v", err)
}
