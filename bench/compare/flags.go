package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// list is a flag of comma-separated words.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(text string) error {
	*l = strings.Split(text, ",")
	return nil
}

// durations is a flag of comma-separated durations.
type durations []time.Duration

func (d *durations) String() string {
	var words []string
	for _, v := range *d {
		words = append(words, v.String())
	}
	return strings.Join(words, ",")
}

func (d *durations) Set(text string) error {
	*d = nil
	for word := range strings.SplitSeq(text, ",") {
		v, err := time.ParseDuration(word)
		if err != nil {
			return err
		}
		*d = append(*d, v)
	}
	return nil
}

// counts is a flag of comma-separated positive numbers.
type counts []int

func (c *counts) String() string {
	var words []string
	for _, n := range *c {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, ",")
}

func (c *counts) Set(text string) error {
	*c = nil
	if text == "" {
		return nil
	}
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is not a positive number", word)
		}
		*c = append(*c, n)
	}
	return nil
}
