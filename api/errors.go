package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"firescan/catalog"
	"firescan/index"
	"firescan/provider"
)

// Code names a failure to clients. The set is part of the API.
type Code string

// The codes of error answers, each with one HTTP status (see Status).
const (
	CodeValidation        Code = "VALIDATION_ERROR"
	CodeCredentials       Code = "INVALID_CREDENTIALS"
	CodeUnauthorized      Code = "UNAUTHORIZED"
	CodeDenied            Code = "PERMISSION_DENIED"
	CodeNotFound          Code = "NOT_FOUND"
	CodeStorageNotFound   Code = "STORAGE_NOT_FOUND"
	CodeBucketNotFound    Code = "BUCKET_NOT_FOUND"
	CodeBackupNotFound    Code = "BACKUP_NOT_FOUND"
	CodeFileNotFound      Code = "FILE_NOT_FOUND"
	CodeMethod            Code = "METHOD_NOT_ALLOWED"
	CodeStorageInUse      Code = "STORAGE_IN_USE"
	CodeBucketExists      Code = "BUCKET_ALREADY_EXISTS"
	CodeBeingDeleted      Code = "PATH_BEING_DELETED"
	CodeNotOrphan         Code = "FILE_NOT_ORPHAN"
	CodeCleanupTooLarge   Code = "CLEANUP_TOO_LARGE"
	CodeSyncInProgress    Code = "SYNC_IN_PROGRESS"
	CodeConflict          Code = "CONFLICT"
	CodeTooLarge          Code = "PAYLOAD_TOO_LARGE"
	CodeRateLimited       Code = "RATE_LIMITED"
	CodeInternal          Code = "INTERNAL"
	CodeProvider          Code = "PROVIDER_ERROR"
	CodeNoLeader          Code = "NO_LEADER"
	CodeIndexUnavailable  Code = "INDEX_UNAVAILABLE"
	codeClientClosed      Code = "CLIENT_CLOSED" // logged and counted; nobody is there to read it
	statusClientClosed         = 499
	retryAfterNoLeader         = "3"
	retryAfterUnavailable      = "5"
)

// Status is the HTTP status that answers carry with the code.
func (c Code) Status() int {
	switch c {
	case CodeValidation, CodeCredentials:
		return http.StatusBadRequest
	case CodeUnauthorized:
		return http.StatusUnauthorized
	case CodeDenied:
		return http.StatusForbidden
	case CodeNotFound, CodeStorageNotFound, CodeBucketNotFound, CodeBackupNotFound, CodeFileNotFound:
		return http.StatusNotFound
	case CodeMethod:
		return http.StatusMethodNotAllowed
	case CodeStorageInUse, CodeBucketExists, CodeBeingDeleted, CodeNotOrphan, CodeCleanupTooLarge, CodeSyncInProgress, CodeConflict:
		return http.StatusConflict
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeRateLimited:
		return http.StatusTooManyRequests
	case CodeProvider:
		return http.StatusBadGateway
	case CodeNoLeader, CodeIndexUnavailable:
		return http.StatusServiceUnavailable
	case codeClientClosed:
		return statusClientClosed
	}
	return http.StatusInternalServerError
}

// ErrNoLeader is what Consensus returns (wrapped or not) when the cluster has no
// leader to turn to: the command was not taken and may be sent again.
var ErrNoLeader = errors.New("the cluster has no leader at the moment")

// ErrUnavailable is what Shards returns (wrapped or not) for an index that exists
// and cannot be read here and now.
var ErrUnavailable = errors.New("the index of the destination cannot be read at the moment")

// Error is a failure as a client sees it. Err, the cause, is logged and not sent.
type Error struct {
	Code    Code
	Message string
	Details any
	Err     error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

func (e *Error) Unwrap() error { return e.Err }

// fieldErrors maps the names of wrong fields to what is wrong with each.
type fieldErrors map[string]string

// invalid is the answer to a request whose named fields are wrong.
func invalid(fields fieldErrors) *Error {
	return &Error{
		Code: CodeValidation, Message: "The request is not valid; see details.fields",
		Details: map[string]any{"fields": fields},
	}
}

func invalidField(name, problem string) *Error { return invalid(fieldErrors{name: problem}) }

func notFound(what string) *Error {
	return &Error{Code: CodeNotFound, Message: what + " not found"}
}

func storageNotFound() *Error {
	return &Error{Code: CodeStorageNotFound, Message: "Storage destination not found"}
}

// orNotFound turns the catalog's "not found" into the answer for the kind of thing
// that was looked for, and leaves every other error as it is.
func orNotFound(err error, answer *Error) error {
	if errors.Is(err, catalog.ErrNotFound) {
		return answer
	}
	return err
}

// toError is the one place where an error of any package becomes an answer.
func toError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{
			Code: CodeTooLarge, Err: err,
			Message: fmt.Sprintf("The request's body is larger than %d bytes", e.Limit),
		}
	}
	if gone(err) { // also where a provider was asked meanwhile
		return clientGone(err)
	}
	if e, ok := errors.AsType[*index.CorruptError](err); ok {
		return indexUnavailable(e)
	}
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return fromProvider(e, "")
	}
	switch {
	case errors.Is(err, ErrNoLeader):
		return &Error{
			Code: CodeNoLeader, Err: err,
			Message: "The cluster has no leader at the moment; try again shortly",
		}
	case errors.Is(err, ErrUnavailable), errors.Is(err, index.ErrNoShard):
		return indexUnavailable(err)
	case errors.Is(err, catalog.ErrTooLarge):
		return &Error{Code: CodeTooLarge, Message: "The record is too large to be stored", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{
			Code: CodeNoLeader, Err: err,
			Message: "The cluster did not answer in time; a change may have been made all the same, try again shortly",
		}
	}
	return fromCatalog(err)
}

// clientGone is for the log and the metrics: nobody reads the answer.
func clientGone(cause error) *Error {
	return &Error{Code: codeClientClosed, Message: "The client went away", Err: cause}
}

func indexUnavailable(cause error) *Error {
	return &Error{
		Code: CodeIndexUnavailable, Err: cause,
		Message: "The index of this destination cannot be read at the moment; it is being repaired, try again shortly or start a sync",
	}
}

// fromCatalog answers what a command was refused for. A handler that knows which
// thing was not found says so itself (see orNotFound).
func fromCatalog(err error) *Error {
	refused, ok := errors.AsType[*catalog.Error](err)
	if !ok {
		return &Error{Code: CodeInternal, Message: "Something went wrong; the log has more under the request id", Err: err}
	}
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return &Error{Code: CodeNotFound, Message: "Not found", Err: err}
	case errors.Is(err, catalog.ErrInUse):
		return &Error{
			Code: CodeStorageInUse, Err: err,
			Message: "Schedules or PITR configurations use this storage destination; migrate them before deleting it",
		}
	case errors.Is(err, catalog.ErrInvalid):
		return &Error{Code: CodeValidation, Message: refused.Message, Err: err}
	case errors.Is(err, catalog.ErrConflict):
		return &Error{Code: CodeConflict, Message: refused.Message, Err: err}
	case errors.Is(err, catalog.ErrNotOrphan):
		return &Error{Code: CodeNotOrphan, Message: "File is associated with a backup and cannot be deleted directly", Err: err}
	case errors.Is(err, catalog.ErrBeingDeleted):
		return &Error{Code: CodeBeingDeleted, Message: refused.Message, Err: err}
	case errors.Is(err, catalog.ErrSyncRunning):
		return &Error{Code: CodeSyncInProgress, Message: "A sync of this destination is running", Err: err}
	}
	return &Error{Code: CodeInternal, Message: "The change was refused; the log has more under the request id", Err: err}
}

// fromProvider answers a failed call to a provider. Reason is the only part of the
// provider's own answer that reaches the client.
func fromProvider(e *provider.Error, typ string) *Error {
	details := map[string]string{"reason": e.Reason}
	if typ != "" {
		details["provider"] = typ
	}
	switch e.Kind {
	case provider.Credentials:
		return &Error{Code: CodeCredentials, Message: "Failed to connect to storage provider", Details: details, Err: e}
	case provider.NoBucket:
		return &Error{
			Code: CodeBucketNotFound, Err: e,
			Message: fmt.Sprintf("Bucket '%s' does not exist or is not accessible", e.Bucket),
		}
	case provider.Exists:
		return bucketExists(e.Bucket, e)
	case provider.Denied:
		return &Error{Code: CodeDenied, Message: "The storage provider refused access with these credentials", Details: details, Err: e}
	case provider.Forbidden:
		return invalidField("endpoint", e.Reason)
	case provider.Invalid:
		return &Error{Code: CodeValidation, Message: "The storage provider refused the request", Details: details, Err: e}
	}
	return &Error{Code: CodeProvider, Message: "The storage provider failed to answer", Details: details, Err: e}
}
