// Package systemtest holds whole clusters of firescan against what happens to them in
// life: nodes that are killed, frozen, cut off, replaced and upgraded while clients work
// and buckets are scanned. Each node is the program itself, in a process of its own.
//
// What a cluster tells is compared with what the bucket itself is known to hold, with what
// undisturbed scans found, and with what clients were answered before.
//
// The tests run in a short form with the other tests (`make test`), and with
// FIRESCAN_LONG=1 in a long one (`make test-long`): larger buckets, longer pauses, each
// kill many times. FIRESCAN_KEEP names a directory in which the logs of the nodes are
// left. Measured times are logged, never judged more sharply than by a multiple of what
// is promised, for machines may be busy.
package systemtest
