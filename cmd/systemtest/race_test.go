//go:build race

package systemtest

const raced = true
