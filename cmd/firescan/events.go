package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// progress is the data of an event storage:sync-progress.
type progress struct {
	DestinationID, SyncID, Status string
	FilesScanned, OrphanFiles     int64
	Percent                       *float64 // nil: unknown
	FilesPerSecond                float64
	ETASeconds                    *float64
}

const progressEvent = "storage:sync-progress"

// watchProgress opens the stream of events and calls handle for each progress event,
// until the stream or ctx ends. It calls opened when the stream is open.
func (c *client) watchProgress(ctx context.Context, opened func(), handle func(progress)) error {
	stream, err := c.unlimited().StreamEvents(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	opened()
	return readEvents(stream, func(name, data string) error {
		if name != progressEvent {
			return nil
		}
		var p progress
		if err := json.Unmarshal([]byte(data), &p); err != nil {
			return fmt.Errorf("decode a progress event: %w", err)
		}
		handle(p)
		return nil
	})
}

// readEvents reads the part of server-sent events (WHATWG HTML, 9.2.6) that firescan
// uses: named events with data.
func readEvents(r io.Reader, handle func(name, data string) error) error {
	lines := bufio.NewReader(r)
	var name string
	var data []string
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && err == nil:
			if len(data) > 0 {
				if err := handle(name, strings.Join(data, "\n")); err != nil {
					return err
				}
			}
			name, data = "", nil
		case field == "event":
			name = value
		case field == "data":
			data = append(data, value)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
