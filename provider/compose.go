package provider

// Compose surrounds an implementation with what every bucket in production has. It is
// the one place where the order of the decorators is decided:
//
//   - Measure is innermost, so that what is measured is the provider and not our waiting.
//   - Limit comes next, so that each attempt takes its place in the bucket's pace.
//   - Retry is outermost, so that its pauses hold no place.
func Compose(b Bucket, providerType string, l *Limiter, m *Metrics, opts RetryOptions) Bucket {
	return Retry(Limit(Measure(b, m, providerType), l), opts)
}
