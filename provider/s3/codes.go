package s3

import "firescan/provider"

type verdict struct {
	kind   provider.Kind
	reason string
}

const (
	notPermitted = "the credentials do not permit this"
	redirected   = "the endpoint redirects elsewhere, which is not followed"
)

const renewSession = ": give new temporary credentials (accessKeyId, secretAccessKey and sessionToken)"

const skewed = "the clock of this machine differs too much from the provider's: set it right"

// verdicts are what the error codes of S3 and of compatible servers mean. The reasons are
// our own words, and a code that is not among these is not shown: a server may quote the
// request, with all its headers, wherever it writes text.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
var verdicts = map[string]verdict{
	"InvalidAccessKeyId":    {provider.Credentials, "the access key id is not known to the provider"},
	"XAdminUserNotFound":    {provider.Credentials, "the access key id is not known to the provider"},
	"SignatureDoesNotMatch": {provider.Credentials, "the secret access key does not belong to the access key id"},
	"InvalidToken":          {provider.Credentials, "the session token has expired, or does not belong to the access key" + renewSession},
	"InvalidTokenId":        {provider.Credentials, "the session token has expired, or does not belong to the access key" + renewSession},
	"ExpiredToken":          {provider.Credentials, "the session token has expired" + renewSession},
	"ExpiredTokenException": {provider.Credentials, "the session token has expired" + renewSession},
	"TokenRefreshRequired":  {provider.Credentials, "the session token has expired" + renewSession},
	"NotSignedUp":           {provider.Credentials, "the account is not signed up for the service"},
	"RequestTimeTooSkewed":  {provider.Credentials, skewed},
	"RequestExpired":        {provider.Credentials, "the session token has expired" + renewSession + "; without one, " + skewed},

	"AccessDenied":       {provider.Denied, notPermitted},
	"Forbidden":          {provider.Denied, notPermitted},
	"AllAccessDisabled":  {provider.Denied, "the provider has disabled access to this bucket"},
	"AccessForbidden":    {provider.Denied, notPermitted},
	"ObjectLocked":       {provider.Retained, "the object is under retention or a legal hold"},
	"InvalidObjectState": {provider.Denied, "the object is archived"},
	"InvalidSecurity":    {provider.Credentials, "the credentials are not valid"},
	"AccountProblem":     {provider.Denied, "the provider reports a problem with the account"},

	"NoSuchBucket": {provider.NoBucket, "the bucket does not exist"},
	"NoSuchKey":    {provider.NotFound, "the object does not exist"},
	"NotFound":     {provider.NotFound, "the object or its bucket does not exist"},

	"PreconditionFailed": {provider.Changed, "the object is not the one that was meant"},

	"BucketAlreadyExists":     {provider.Exists, "the bucket name is taken"},
	"BucketAlreadyOwnedByYou": {provider.Exists, "the account has this bucket already"},

	"InvalidBucketName":                  {provider.Invalid, "the bucket name is not valid"},
	"KeyTooLongError":                    {provider.Invalid, "the key is too long"},
	"InvalidLocationConstraint":          {provider.Invalid, "the region is not known to the provider"},
	"IllegalLocationConstraintException": {provider.Invalid, "the region does not fit the endpoint"},
	"AuthorizationHeaderMalformed":       {provider.Invalid, "the region does not fit the bucket"},
	"TooManyBuckets":                     {provider.Invalid, "the account may have no more buckets"},
	"InvalidArgument":                    {provider.Invalid, "the provider does not take an argument of the request"},
	"InvalidRequest":                     {provider.Invalid, "the provider does not take the request"},
	"InvalidURI":                         {provider.Invalid, "the provider does not take the request's address"},
	"InvalidObjectName":                  {provider.Invalid, "the provider does not take the object's name"},
	"XMinioInvalidObjectName":            {provider.Invalid, "the provider does not take the object's name"},
	"MalformedXML":                       {provider.Invalid, "the provider does not understand the request"},
	"BadDigest":                          {provider.Invalid, "the request was altered on its way"},
	"EntityTooLarge":                     {provider.Invalid, "the object is too large"},
	"MethodNotAllowed":                   {provider.Invalid, "the provider does not allow this on the object or bucket"},
	"NotImplemented":                     {provider.Invalid, "the provider does not have this function"},
	"PermanentRedirect":                  {provider.Invalid, "the bucket is in another region"},
	"QuotaExceeded":                      {provider.Invalid, "the quota of the bucket or account is used up"},
	"XMinioStorageFull":                  {provider.Invalid, "the provider's storage is full"},

	"SlowDown":             {provider.Throttled, "the provider asks to slow down"},
	"ServiceUnavailable":   {provider.Throttled, "the provider is overloaded"},
	"Throttling":           {provider.Throttled, "the provider asks to slow down"},
	"ThrottlingException":  {provider.Throttled, "the provider asks to slow down"},
	"RequestThrottled":     {provider.Throttled, "the provider asks to slow down"},
	"RequestLimitExceeded": {provider.Throttled, "the provider asks to slow down"},
	"TooManyRequests":      {provider.Throttled, "the provider asks to slow down"},

	"InternalError":              {provider.Unavailable, ""},
	"RequestTimeout":             {provider.Unavailable, "the provider waited too long for the request"},
	"TemporaryRedirect":          {provider.Unavailable, redirected + "; a new bucket does so until it has reached its region"},
	"ConditionalRequestConflict": {provider.Unavailable, "another change of the object is under way"},
	"OperationAborted":           {provider.Unavailable, "another operation on the bucket is under way"},
	"XMinioServerNotInitialized": {provider.Unavailable, "the server is starting"},
}

// serverError is an <Error> document in place of the response, under status 200.
type serverError struct{ code string }

func (e *serverError) Error() string {
	if _, known := verdicts[e.code]; known {
		return "the response is an error: " + e.code
	}
	return "the response is an error that is not known"
}
