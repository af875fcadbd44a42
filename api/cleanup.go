package api

import (
	"fmt"
	"strconv"
	"time"

	"firescan/deletion"
	"firescan/index"
)

// cleanup deletes all orphans of a destination, or with dryRun returns what it would
// delete.
func (h *files) cleanup(c *call) error {
	request, age, dryRun, err := h.readCleanup(c)
	if err != nil {
		return err
	}
	if request.Destination, err = c.readDestination(); err != nil {
		return err
	}
	request.Who = c.token.Id
	if dryRun {
		plan, err := h.deleter.Plan(c.context(), request)
		if err != nil {
			return err
		}
		c.audited.nothing = true
		skipped := skippedOf(plan, &request, age)
		return c.respond(envelope{Message: fmt.Sprintf("%d orphan files would be deleted", plan.Files) + skipped.note(), Data: struct {
			cleanupData
			DryRun bool     `json:"dryRun"`
			Hash   string   `json:"planHash"`
			Plan   planData `json:"plan"`
		}{cleanupData{Errors: []fileFailure{}, Skipped: skipped}, true, plan.Hash, showPlan(plan)}})
	}
	done, err := h.deleter.Cleanup(c.context(), request)
	if err != nil {
		return err
	}
	data := cleanupData{
		Deleted: done.Deleted, Freed: done.Bytes, Failed: done.Failed, Errors: []fileFailure{}, Skipped: showSkipped(done.Resembling, done.Skipped, age),
		Versioned: done.Versioned > 0, SoftDelete: int64(done.SoftDelete / time.Second),
	}
	data.Skipped.Retained = done.Retained
	c.audited.did("deleted", data.Deleted)
	c.audited.did("failed", data.Failed)
	c.audited.did("bytes", data.Freed)
	for _, o := range done.Errors {
		data.Errors = append(data.Errors, fileFailure{string(o.Path), *c.failed(o.Err)})
	}
	if done.Stopped != nil {
		// An error is not stored under an Idempotency-Key, so a retry continues the
		// cleanup.
		e := *toError(c.context(), done.Stopped)
		e.Message = fmt.Sprintf("The cleanup ended early, after %d orphan files; call it again to continue: %s", done.Deleted, e.Message)
		e.Details = data
		return &e
	}
	message := fmt.Sprintf("Cleaned up %d orphan files", done.Deleted)
	if done.Failed > 0 {
		message += fmt.Sprintf(", %d failed", done.Failed)
	}
	message += data.Skipped.note()
	if done.Versioned > 0 {
		message += versionedNote(done.Versioned == done.Deleted)
	}
	if done.SoftDelete > 0 {
		message += fmt.Sprintf(". The bucket keeps deleted files for %s, and their space is paid for until then", days(done.SoftDelete))
	}
	return c.respond(envelope{Message: message, Data: data})
}

type cleanupData struct {
	Deleted uint64        `json:"deletedCount"`
	Freed   uint64        `json:"freedSpace"`
	Failed  uint64        `json:"failedCount"`
	Errors  []fileFailure `json:"errors"`
	Skipped skippedData   `json:"skipped"`
	// Versioned reports that the bucket keeps versions of deleted files.
	Versioned bool `json:"versioned,omitempty"`
	// SoftDelete is how long the bucket keeps deleted files, in seconds.
	SoftDelete int64 `json:"softDeleteSeconds,omitempty"`
}

// days returns a duration for a person, in days where it is that long.
func days(d time.Duration) string {
	if n := d / (24 * time.Hour); n > 1 {
		return fmt.Sprintf("%d days", n)
	}
	return d.String()
}

type fileFailure struct {
	Path string `json:"path"`
	failure
}

type planData struct {
	Orphans  uint64        `json:"orphans"`
	Size     string        `json:"size"`
	Files    uint64        `json:"files"`
	TooLarge bool          `json:"tooLarge"`
	Guards   []guardData   `json:"guards"`
	First    []plannedFile `json:"first"`
}

type plannedFile struct {
	Path     string `json:"path"`
	Size     string `json:"size"`
	Modified stamp  `json:"lastModified"`
	Type     string `json:"type"`
}

// skippedOf returns the orphans that a plan leaves.
func skippedOf(p *deletion.Plan, r *deletion.CleanupRequest, age time.Duration) skippedData {
	if r.Resembling {
		return showSkipped(deletion.Resembling{}, p.Skipped, age)
	}
	return showSkipped(p.Resembling, p.Skipped, age)
}

func showPlan(p *deletion.Plan) planData {
	data := planData{p.Files, strconv.FormatUint(p.Bytes, 10), p.Of, p.TooLarge(), showGuards(p.Guards), []plannedFile{}}
	for _, e := range p.First {
		data.First = append(data.First, plannedFile{string(e.Path), strconv.FormatInt(e.Size, 10), stamp(e.ModTime), e.Type.String()})
	}
	return data
}

// readCleanup reads the parameters, of which age is the minimum age. It guesses nothing:
// whatever is unclear is refused.
func (h *files) readCleanup(c *call) (cleanup deletion.CleanupRequest, age time.Duration, dryRun bool, err error) {
	if err := c.noBody(); err != nil {
		return deletion.CleanupRequest{}, 0, false, err
	}
	q := c.query()
	for name := range q.values {
		if q.str(name) == "" {
			q.wrong[name] = "must have a value"
		}
	}
	dryRun = q.boolean("dryRun")
	types := []index.Type{index.Backup, index.Meta, index.Auth, index.Pitr}
	if q.boolean("includeUnknown") {
		types = append(types, index.Unknown)
	}
	if only := q.str("type"); only != "" {
		types = q.oneOf("type", only, types)
	}
	age = h.orphanMinAge
	if q.str("minAge") != "" {
		age = q.duration("minAge")
	}
	return deletion.CleanupRequest{
		Types: types, Before: c.backend.now().Add(-age).UnixMilli(), Confirm: q.str("confirm"), Resembling: q.boolean("includeResembling"),
	}, age, dryRun, q.err()
}

// oneOf restricts types to the named one.
func (q *query) oneOf(param, name string, types []index.Type) []index.Type {
	for _, t := range types {
		if t.String() == name {
			return []index.Type{t}
		}
	}
	q.wrong[param] = "must be one of backup, meta, auth, pitr; unknown only with includeUnknown=true"
	return nil
}
