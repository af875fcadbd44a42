package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// progress is the data of a storage:sync-progress event.
type progress struct {
	DestinationID, SyncID, Status string
	FilesScanned, OrphanFiles     uint64
	Percent                       *float64 // nil: not known
	FilesPerSecond                float64
	ETASeconds                    *float64
}

const progressEvent = "storage:sync-progress"

// listen opens the stream of events and calls see with each progress, until the
// stream or ctx ends. It calls open when it has begun to listen.
func (c *client) listen(ctx context.Context, open func(), see func(progress)) error {
	stream, err := c.stream(ctx, http.MethodGet, "/api/v1/storage/events", "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	open()
	return readEvents(stream, func(name, data string) error {
		if name != progressEvent {
			return nil
		}
		var p progress
		if err := json.Unmarshal([]byte(data), &p); err != nil {
			return fmt.Errorf("a progress event is not understood: %w", err)
		}
		see(p)
		return nil
	})
}

// readEvents reads server-sent events (WHATWG HTML, 9.2.6) as far as firescan uses
// them: named events with data.
func readEvents(r io.Reader, see func(name, data string) error) error {
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
				if err := see(name, strings.Join(data, "\n")); err != nil {
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
