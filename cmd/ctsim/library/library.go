// Package library is where the scenarios come from that a command line names: a file, stdin, or the built-in ones.
package library

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim"
	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario"
)

// maxFile is more than scenario.Parse accepts; it keeps a device or an endless pipe from filling the memory.
const maxFile = 2 << 20

// Library is the scenarios of one source.
type Library struct {
	*scenario.Library
	// data is what was read, and fromStdin tells whether it was read from there.
	data      []byte
	fromStdin bool
	// file is what the user calls the source; empty for the built-in scenarios.
	file string
}

// Data is the text that was read.
func (l *Library) Data() []byte { return l.data }

// Stdin is stdin once more for a process that reads the same library; nil if it was not read.
func (l *Library) Stdin() io.Reader {
	if !l.fromStdin {
		return nil
	}
	return bytes.NewReader(l.data)
}

// FileFlag names the source.
func FileFlag() cli.Flag {
	return &cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "take the scenarios from `FILE` instead of the built-in ones; - is stdin"}
}

// Open reads and checks the scenarios that --file names, or the built-in ones if it is not given.
func Open(inv *cmdline.Call, c *cli.Context) (*Library, error) {
	if !c.IsSet("file") {
		return BuiltIn()
	}
	return Read(inv, c.String("file"))
}

// BuiltIn is the library that is part of ctsim.
func BuiltIn() (*Library, error) { return parse("scenarios.yaml", ctsim.Scenarios) }

// Read reads and checks the scenarios of a file, or of stdin if it is "-". The error is scenario.Problems if they are
// wrong, and a *cmdline.Exit with ExitUsage if the file cannot be read.
func Read(inv *cmdline.Call, file string) (*Library, error) {
	if file == "" { // $UNSET, and a good answer would be about something else
		return nil, noFile(inv, "its name is empty")
	}
	if file == "-" {
		data, err := io.ReadAll(io.LimitReader(inv.Stdin, maxFile))
		if err != nil {
			return nil, noFile(inv, err.Error())
		}
		l, err := parse("stdin", data)
		if err != nil {
			return nil, err
		}
		l.fromStdin, l.file = true, "stdin"
		return l, nil
	}
	data, err := readFile(file)
	if err != nil {
		return nil, noFile(inv, err.Error())
	}
	l, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	l.file = file
	return l, nil
}

func noFile(inv *cmdline.Call, why string) error {
	return cmdline.UsageHint(inv.Program()+" list   # the built-in scenarios need no file", "scenario file: %s", printable.Line(why))
}

func parse(name string, data []byte) (*Library, error) {
	l, err := scenario.Parse(name, data)
	if err != nil {
		return nil, err
	}
	return &Library{Library: l, data: data}, nil
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

// Named gives the scenarios of these names, in this order.
func (l *Library) Named(inv *cmdline.Call, names []string) ([]scenario.Scenario, error) {
	var found []scenario.Scenario
	for _, name := range names {
		s, ok := l.Find(name)
		if !ok {
			return nil, l.unknown(inv, name)
		}
		found = append(found, s)
	}
	return found, nil
}

func (l *Library) unknown(inv *cmdline.Call, name string) error {
	hint := inv.Program() + " list"
	if near := l.Nearest(name); near != "" {
		hint = inv.Retyped(name, near)
	}
	return cmdline.UsageHint(hint, "unknown scenario %q", name)
}
