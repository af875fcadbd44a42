// Package systemtest tests whole clusters of firescan processes against faults: nodes are
// killed, frozen, partitioned, replaced and upgraded while clients work and buckets are
// scanned. The results are compared with the known contents of the bucket, with
// undisturbed scans, and with earlier responses to clients.
//
// The tests run in a short form with the other tests (`make test`), and with
// FIRESCAN_LONG=1 in a long form (`make test-long`): larger buckets, longer pauses, many
// repetitions. FIRESCAN_KEEP names a directory for the logs of the nodes. Durations are
// logged; assertions allow a multiple of the promised limits, because the machine may be
// busy.
package systemtest
