//go:build race

package main

// memoryFactor is how much more memory a program takes with the race detector.
// https://go.dev/doc/articles/race_detector ("5-10x")
const memoryFactor = 5
