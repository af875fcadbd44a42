package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// list is a flag of words separated by commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(text string) error {
	*l = strings.Split(text, ",")
	return nil
}

// durations is a flag of durations separated by commas.
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

// counts is a flag of positive numbers separated by commas.
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
			return fmt.Errorf("%q is no positive number", word)
		}
		*c = append(*c, n)
	}
	return nil
}
