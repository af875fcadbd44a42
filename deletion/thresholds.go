package deletion

// Thresholds are the limits of guards. Above them, a cleanup must be confirmed.
type Thresholds struct {
	// JumpPoints is the increase of the share of orphans, in percentage points. It counts
	// for plans of at least JumpFiles files.
	JumpPoints float64
	JumpFiles  uint64
	// NewOrphans is the number of new orphans, when there are more than ten for each changed
	// record.
	NewOrphans uint64
	// Missing is the number of backups without a file in the bucket, or with one that was not
	// looked for.
	Missing uint64
}

// DefaultThresholds returns the default limits.
func DefaultThresholds() Thresholds {
	return Thresholds{JumpPoints: 10, JumpFiles: 2, NewOrphans: 100}
}
