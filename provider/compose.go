package provider

// Compose returns an implementation with the decorators that every bucket in production
// has. It is the one place where their order is decided:
//
//   - Measure is innermost, so that it measures the provider and not our waiting.
//   - Limit comes next, so that each attempt counts against the bucket's rate.
//   - Retry comes next, so that its pauses do not count against it.
//   - Serial comes next, so that each page of a serial listing has all of this.
//   - HideOwn is outermost, so that no list has our own objects, however it was made.
func Compose(b Bucket, providerType string, l *Limiter, m *Metrics, opts RetryOptions, memory *SerialMemory) Bucket {
	return HideOwn(Serial(Retry(Limit(Measure(b, m, providerType), l), opts), memory))
}
