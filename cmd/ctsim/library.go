package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim"
	"github.com/ctsim/ctsim/scenario"
)

// maxFile is more than scenario.Parse accepts; it keeps a device or an endless pipe from filling the memory.
const maxFile = 8 << 20

// library is the scenarios of one source.
type library struct {
	*scenario.Library
	// stdin is true if it was read from there, and data is what was read then.
	stdin bool
	data  []byte
}

func fileFlag() cli.Flag {
	return &cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "take the scenarios from `FILE` instead of the built-in ones; - is stdin"}
}

// load reads and checks the scenarios of a file, of stdin if it is "-", or the built-in ones if it is empty.
func (inv *invocation) load(file string) (*library, error) {
	name, data := file, ctsim.Scenarios
	var err error
	switch file {
	case "":
		name = "scenarios.yaml"
	case "-":
		name = "stdin"
		data, err = io.ReadAll(io.LimitReader(inv.stdin, maxFile))
	default:
		data, err = readFile(file)
	}
	if err != nil {
		return nil, &exit{exitUsage, "scenario file: " + err.Error(), inv.program() + " list   # the built-in scenarios need no file"}
	}
	l, err := scenario.Parse(name, data)
	if err != nil {
		return nil, err
	}
	return &library{l, file == "-", data}, nil
}

func readFile(name string) (_ []byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = fmt.Errorf("%s: %w", path.Path, path.Err)
		}
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// find gives the scenarios of these names, in this order.
func (inv *invocation) find(l *library, names []string) ([]scenario.Scenario, error) {
	var found []scenario.Scenario
	for _, name := range names {
		s, ok := l.Find(name)
		if !ok {
			return nil, inv.unknownScenario(l, name)
		}
		found = append(found, s)
	}
	return found, nil
}

func (inv *invocation) unknownScenario(l *library, name string) error {
	hint := inv.program() + " list"
	if near := l.Nearest(name); near != "" {
		hint = inv.retyped(name, near)
	}
	return usageHint(hint, "unknown scenario %q", name)
}
