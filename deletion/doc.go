// Package deletion deletes files and backups from buckets, and never a file that a record
// needs. Each deletion is an intent in the catalog before a call reaches the provider.
package deletion
