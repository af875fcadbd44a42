package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/cluster"
	"firescan/deletion"
	"firescan/index"
	"firescan/provider"
	"firescan/replica"
)

// Code names a failure to clients. The set is part of the API.
type Code string

// The codes of errors, each with one HTTP status (see Status).
const (
	CodeValidation        Code = "VALIDATION_ERROR"
	CodeCredentials       Code = "INVALID_CREDENTIALS"
	CodeUnauthorized      Code = "UNAUTHORIZED"
	CodeDenied            Code = "PERMISSION_DENIED" // the role does not permit it
	CodeProviderDenied    Code = "PROVIDER_DENIED"   // the provider does not
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
	CodeIdentityUnsettled Code = "IDENTITY_UNSETTLED"
	CodeStorageMoved      Code = "STORAGE_MOVED"
	CodeSyncInProgress    Code = "SYNC_IN_PROGRESS"
	CodeConflict          Code = "CONFLICT"
	CodeTooLarge          Code = "PAYLOAD_TOO_LARGE"
	CodeMediaType         Code = "UNSUPPORTED_MEDIA_TYPE"
	CodeRateLimited       Code = "RATE_LIMITED"
	CodeInternal          Code = "INTERNAL"
	CodeProvider          Code = "PROVIDER_ERROR"
	CodeNoLeader          Code = "NO_LEADER"
	CodeIndexUnavailable  Code = "INDEX_UNAVAILABLE"
	codeClientClosed      Code = "CLIENT_CLOSED" // for logs and metrics; no client reads it
	statusClientClosed         = 499
	retryAfterNoLeader         = "3"
	retryAfterUnavailable      = "5"
)

// statuses maps codes to HTTP statuses; any other code is a 500.
var statuses = map[Code]int{
	CodeValidation: http.StatusBadRequest, CodeCredentials: http.StatusBadRequest,
	CodeUnauthorized: http.StatusUnauthorized,
	CodeDenied:       http.StatusForbidden, CodeProviderDenied: http.StatusForbidden,
	CodeNotFound: http.StatusNotFound, CodeStorageNotFound: http.StatusNotFound, CodeBucketNotFound: http.StatusNotFound,
	CodeBackupNotFound: http.StatusNotFound, CodeFileNotFound: http.StatusNotFound,
	CodeMethod:       http.StatusMethodNotAllowed,
	CodeStorageInUse: http.StatusConflict, CodeBucketExists: http.StatusConflict, CodeBeingDeleted: http.StatusConflict,
	CodeNotOrphan: http.StatusConflict, CodeCleanupTooLarge: http.StatusConflict, CodeSyncInProgress: http.StatusConflict, CodeIdentityUnsettled: http.StatusConflict, CodeStorageMoved: http.StatusConflict,
	CodeConflict:    http.StatusConflict,
	CodeTooLarge:    http.StatusRequestEntityTooLarge,
	CodeMediaType:   http.StatusUnsupportedMediaType,
	CodeRateLimited: http.StatusTooManyRequests,
	CodeProvider:    http.StatusBadGateway,
	CodeNoLeader:    http.StatusServiceUnavailable, CodeIndexUnavailable: http.StatusServiceUnavailable,
	codeClientClosed: statusClientClosed,
}

// Status returns the HTTP status of responses with the code.
func (c Code) Status() int {
	if status, ok := statuses[c]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// Error is a failure as a client sees it. Err, the cause, is logged and not sent.
type Error struct {
	Code    Code
	Message string
	Details any
	Err     error
	// retryAfter is when the request may be repeated, of CodeRateLimited.
	retryAfter time.Duration
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

func (e *Error) Unwrap() error { return e.Err }

// fieldErrors maps invalid fields to their problems.
type fieldErrors map[string]string

// invalid returns the error of a request with invalid fields: the message names the first.
func invalid(fields fieldErrors) *Error {
	message := "The request is not valid"
	if names := slices.Sorted(maps.Keys(fields)); len(names) > 0 {
		message += ": " + names[0] + " " + fields[names[0]]
		if more := len(names) - 1; more > 0 {
			message += fmt.Sprintf(" (and %d more in details.fields)", more)
		}
	}
	return &Error{Code: CodeValidation, Message: message, Details: map[string]any{"fields": fields}}
}

func invalidField(name, problem string) *Error { return invalid(fieldErrors{name: problem}) }

func notFound(what string) *Error {
	return &Error{Code: CodeNotFound, Message: what + " not found"}
}

func storageNotFound() *Error {
	return &Error{Code: CodeStorageNotFound, Message: "Storage destination not found"}
}

// orNotFound replaces the catalog's "not found" by the error for this kind of object,
// and returns any other error unchanged.
func orNotFound(err error, missing *Error) error {
	if errors.Is(err, catalog.ErrNotFound) {
		return missing
	}
	return err
}

// indexUnavailableMessage is the message of CodeIndexUnavailable.
const indexUnavailableMessage = "The index of this destination cannot be read at the moment; it is being repaired, try again shortly or start a sync"

// catalogDamagedMessage is the message for requests that a damaged catalog cannot serve.
const catalogDamagedMessage = "The catalog of this node is damaged; the log of the node says what was found and what to do"

// known lists errors of the packages below with their codes and messages. The first
// match counts. An empty message stands for the message of the *catalog.Error.
var known = []struct {
	err     error
	code    Code
	message string
}{
	{deletion.ErrNotFound, CodeFileNotFound, "File not found"},
	{deletion.ErrChanged, CodeConflict, "The file has changed since the last scan; sync the storage destination, then check it again"},
	{deletion.ErrUnlisted, CodeNotOrphan, "A backup record whose file is not listed may mean this file under another name; correct the record, or delete it first"},
	{deletion.ErrUnconfirmed, CodeProvider, "The storage provider did not confirm the deletion; the file still exists and is checked again within half an hour"},
	{deletion.ErrRecordKept, CodeNoLeader, "The files of the backup are deleted, but its record is not; delete the backup again"},
	{deletion.ErrTooManyFiles, CodeConflict, "The backups of the request have too many files; delete fewer backups at once, or sync the storage destination and delete the files by their paths"},
	{deletion.ErrFolder, CodeConflict, "The backup names a folder; its files were not deleted. Sync the storage destination, then delete the files below the folder by their paths"},
	{deletion.ErrNeverSynced, CodeConflict, "The storage destination was never synced, so no orphans are known; sync it first"},
	{deletion.ErrStopping, CodeNoLeader, "This node is stopping; try again shortly"},

	// Nothing was written after ErrNoLeader and ErrFull; after the others it may have been.
	{cluster.ErrNoLeader, CodeNoLeader, "The cluster has no leader at the moment; try again shortly"},
	{cluster.ErrUnconfirmed, CodeNoLeader, "A majority of the nodes did not confirm in time that the files may be deleted; nothing was deleted, try again shortly"},
	{cluster.ErrDissent, CodeNoLeader, "The nodes disagree whether the files may be deleted, so the catalog of one is damaged and is replaced; nothing was deleted, try again shortly"},
	{cluster.ErrFull, CodeNoLeader, "The disk of this node is full; nothing was written, try again when there is free space"},
	{cluster.ErrUnknown, CodeNoLeader, "The change could not be confirmed in time; it may have been made, check before sending it again"},
	{cluster.ErrClosed, CodeNoLeader, "This node is stopping; try again shortly"},

	{replica.ErrUnavailable, CodeIndexUnavailable, indexUnavailableMessage},
	{index.ErrNoShard, CodeIndexUnavailable, indexUnavailableMessage},

	// A handler that knows which object is missing returns its own error: see orNotFound.
	{catalog.ErrNotFound, CodeNotFound, "Not found"},
	{catalog.ErrCatalogDamaged, CodeInternal, catalogDamagedMessage},
	{catalog.ErrUndecided, CodeInternal, catalogDamagedMessage},
	{catalog.ErrTooLarge, CodeTooLarge, "The record is too large to be stored"},
	{catalog.ErrInUse, CodeStorageInUse, "Schedules or PITR configurations use this storage destination; migrate them before deleting it"},
	{catalog.ErrNotOrphan, CodeNotOrphan, "File is associated with a backup and cannot be deleted directly"},
	{catalog.ErrSyncRunning, CodeSyncInProgress, "A sync of this destination is running"},
	{catalog.ErrInvalid, CodeValidation, ""},
	{catalog.ErrUnresolved, CodeValidation, ""},
	{catalog.ErrConflict, CodeConflict, ""},
	{catalog.ErrBeingDeleted, CodeBeingDeleted, ""},
	{catalog.ErrUnsettled, CodeIdentityUnsettled, ""},
	{catalog.ErrMoved, CodeStorageMoved, ""},
}

// toError turns an error of any package into the API's error. ctx is the request's:
// only after its end is a cancellation the client's own, since a call to a leader that
// steps down is canceled, too.
func toError(ctx context.Context, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{
			Code: CodeTooLarge, Err: err,
			Message: fmt.Sprintf("The request's body is larger than %d bytes", e.Limit),
		}
	}
	if e, ok := errors.AsType[*deletion.PlanError](err); ok {
		return planError(e)
	}
	if e, ok := errors.AsType[*deletion.ClockError](err); ok {
		return clockError(e)
	}
	if ctx.Err() != nil && gone(err) {
		return clientGone(err)
	}
	for _, k := range known {
		if errors.Is(err, k.err) {
			return &Error{Code: k.code, Message: cmp.Or(k.message, refusal(err)), Err: err}
		}
	}
	if gone(err) {
		return clientGone(err)
	}
	if e, ok := errors.AsType[*index.CorruptError](err); ok {
		return indexUnavailable(e)
	}
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return fromProvider(e, "")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{
			Code: CodeNoLeader, Err: err,
			Message: "The cluster did not respond in time; the change may have been made, try again shortly",
		}
	}
	if errors.Is(err, cluster.ErrRefused) {
		reason := strings.TrimPrefix(err.Error(), cluster.ErrRefused.Error()+": ")
		return &Error{Code: CodeConflict, Message: "The node was not removed: " + reason, Err: err}
	}
	return &Error{Code: CodeInternal, Message: internalMessage, Err: err}
}

// internalMessage is the message of CodeInternal: the cause is in the log only.
const internalMessage = "Internal error; see the log entry with this request id"

// refusal returns the message of a command that the catalog refused.
func refusal(err error) string {
	if e, ok := errors.AsType[*catalog.Error](err); ok {
		return e.Message
	}
	return internalMessage
}

// clockError returns the error of a cleanup that cannot know the age of files.
func clockError(e *deletion.ClockError) *Error {
	text := e.Error()
	return &Error{Code: CodeConflict, Message: strings.ToUpper(text[:1]) + text[1:], Err: e, Details: struct {
		Offset int64 `json:"clockOffsetSeconds"`
	}{int64(e.Offset.Round(time.Second) / time.Second)}}
}

// gone reports whether err only means that the client went away.
func gone(err error) bool { return errors.Is(err, context.Canceled) }

// clientGone is for the log and the metrics: nobody reads the response.
func clientGone(cause error) *Error {
	return &Error{Code: codeClientClosed, Message: "The client went away", Err: cause}
}

func indexUnavailable(cause error) *Error {
	return &Error{Code: CodeIndexUnavailable, Message: indexUnavailableMessage, Err: cause}
}

// fromProvider returns the error of a failed call to a provider. Reason is the only
// part of the provider's own error that reaches the client.
func fromProvider(e *provider.Error, typ string) *Error {
	details := map[string]string{"reason": e.Explain()}
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
		return &Error{Code: CodeProviderDenied, Message: "The storage provider refused access with these credentials", Details: details, Err: e}
	case provider.Retained:
		return &Error{Code: CodeProviderDenied, Message: "The file is under retention or a hold and cannot be deleted yet", Details: details, Err: e}
	case provider.Forbidden:
		return invalidField("endpoint", refusedEndpoint(e))
	case provider.Invalid:
		return &Error{Code: CodeValidation, Message: "The storage provider refused the request", Details: details, Err: e}
	}
	return &Error{Code: CodeProvider, Message: "The storage provider did not respond", Details: details, Err: e}
}

// syncError returns the error of a sync that has failed or was cancelled, else nil.
func syncError(d *pb.Destination, s *pb.Sync) *Error {
	switch s.Status {
	case catalog.SyncCancelled:
		return &Error{Code: CodeConflict, Message: "The sync was cancelled; repeat the request to start another one"}
	case catalog.SyncFailed:
		kind, ok := provider.ParseKind(s.Cause)
		if !ok {
			return &Error{Code: CodeIndexUnavailable, Message: "The sync failed: " + s.Error}
		}
		_, reason, _ := strings.Cut(s.Error, s.Cause+": ") // the operation is before it
		return fromProvider(&provider.Error{Kind: kind, Op: "sync", Bucket: d.Bucket, Reason: cmp.Or(reason, s.Error)}, d.Type)
	}
	return nil
}

// providerFailed returns the error of a failed call to a provider of type typ. A
// timeout is the provider's: it was called in this request and did not respond.
func providerFailed(err error, typ, bucket string) error {
	if known, ok := errors.AsType[*provider.Error](err); ok && !gone(err) {
		return fromProvider(known, typ)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fromProvider(&provider.Error{
			Kind: provider.Unavailable, Op: "ask", Bucket: bucket, Reason: "no response in time", Err: err,
		}, typ)
	}
	return err
}

func bucketExists(name string, cause error) *Error {
	return &Error{
		Code: CodeBucketExists, Err: cause,
		Message: fmt.Sprintf("Bucket '%s' already exists; choose another name, or use it if it is yours", name),
	}
}
