package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

const (
	// checkLines and checkBytes bound one request of a check, below the limits of the API.
	checkLines = 1000
	checkBytes = 2 << 20
)

// checkImport resolves the records of an import and prints what each location would
// become. It fails when a line would be refused.
func (a *app) checkImport(cmd *cobra.Command, c *client, in io.Reader) error {
	lines := bufio.NewReaderSize(in, 256<<10)
	var part bytes.Buffer
	sent, held, checked, refused := 0, 0, 0, 0
	flush := func() error {
		if held == 0 {
			return nil
		}
		all, err := apiclient.Decode(c.unlimited().CheckImport(cmd.Context(), nil, &part))
		if err != nil {
			return err
		}
		for _, l := range all.Data.Lines {
			l.Line += int64(sent)
			checked++
			if l.Error != "" {
				refused++
			}
			if err := a.printChecked(l); err != nil {
				return err
			}
		}
		sent, held = sent+held, 0
		part.Reset()
		return nil
	}
	for {
		line, err := lines.ReadBytes('\n')
		if held == checkLines || held > 0 && part.Len()+len(line) > checkBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		if len(line) > 0 {
			part.Write(line)
			held++
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the records: %w", err)
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if refused > 0 {
		return fmt.Errorf("%s of %s records would be refused; nothing was stored", count(uint64(refused)), count(uint64(checked)))
	}
	if !a.json {
		fmt.Fprintf(a.out, "%s records can be imported; nothing was stored\n", count(uint64(checked)))
	}
	return nil
}

// printChecked prints a line: as JSON with --json, else one row for each location.
func (a *app) printChecked(l apiclient.CheckedLine) error {
	if a.json {
		return json.NewEncoder(a.out).Encode(l)
	}
	if l.Error != "" {
		_, err := fmt.Fprintf(a.out, "line %d: refused: %s\n", l.Line, oneLine(l.Error))
		return err
	}
	for _, location := range l.Locations {
		var places []string
		for _, p := range location.Readings {
			place := p.Bucket + "/" + p.Key
			if p.Prefix {
				place += "*"
			}
			places = append(places, oneLine(place))
		}
		if _, err := fmt.Fprintf(a.out, "line %d: %s %s: %s %s -> %s\n",
			l.Line, l.Kind, l.ID, location.Field, oneLine(location.Given), strings.Join(places, ", ")); err != nil {
			return err
		}
	}
	return nil
}
