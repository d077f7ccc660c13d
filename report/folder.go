package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/packet/pcapng"
	"github.com/ctsim/ctsim/scenario"
)

// files are what a report folder holds, by name. One whose write is given nothing to tell is left out.
var files = []struct {
	name  string
	has   func(*scenario.Result) bool
	write func(io.Writer, *scenario.Result) error
}{
	{"report.html", always, HTML},
	{"report.txt", always, func(w io.Writer, r *scenario.Result) error { return Text(w, r, TextOptions{Verbose: true}) }},
	{resultFile, always, JSON},
	{"packets.pcapng", HasPackets, Pcap},
	{"output.txt", HasOutput, Output},
}

// resultFile marks a folder as a report of ctsim's.
const resultFile = "result.json"

func always(*scenario.Result) bool { return true }

// HasPackets tells whether there is anything to make a capture file of.
func HasPackets(r *scenario.Result) bool { return len(r.Capture.Hops) > 0 }

// Pcap writes the packets of a run as pcapng: an interface for each pod and node, a comment on the packets that matter.
func Pcap(w io.Writer, r *scenario.Result) error {
	// Write asks in the order of time, which is the order they are in.
	next := 0
	comment := func(packet.Packet) string {
		next++
		return r.Capture.Comments[next-1]
	}
	return pcapng.Write(w, r.Scenario+": "+r.Title+"\n"+r.Reason, r.Capture.Hops, r.Capture.Packets, comment)
}

// CheckFolder makes sure that a report of the scenario can be written below dir, which it makes if it is not there. It
// finds before a run what would be a pity to find after it.
func CheckFolder(dir, scenario string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := replaceable(filepath.Join(dir, scenario)); err != nil {
		return err
	}
	return CheckWritable(dir)
}

// CheckWritable tells whether files can be made in a folder, by making one.
func CheckWritable(dir string) error {
	f, err := os.CreateTemp(dir, ".ctsim-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// replaceable tells whether a path is free, or holds an earlier report: nothing else is ever deleted.
func replaceable(path string) error {
	switch _, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	data, err := os.ReadFile(filepath.Join(path, resultFile))
	var mark struct {
		Schema   int    `json:"schema"`
		Scenario string `json:"scenario"`
	}
	if err != nil || json.Unmarshal(data, &mark) != nil || mark.Schema == 0 || mark.Scenario != filepath.Base(path) {
		return fmt.Errorf("%s is there already and is no report of ctsim's", path)
	}
	return nil
}

// Folder writes everything there is about a run into dir/SCENARIO, in the place of an earlier report, and gives that
// path. The report is there as a whole or not at all.
func Folder(dir string, r *scenario.Result) (path string, err error) {
	path = filepath.Join(dir, r.Scenario)
	if err := replaceable(path); err != nil {
		return "", err
	}
	half, err := os.MkdirTemp(dir, ".ctsim-*")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(half)) }()
	made := filepath.Join(half, "new")
	if err := os.Mkdir(made, 0o755); err != nil {
		return "", err
	}
	for _, f := range files {
		if !f.has(r) {
			continue
		}
		if err := writeFile(filepath.Join(made, f.name), func(w io.Writer) error { return f.write(w, r) }); err != nil {
			return "", err
		}
	}
	if err := savedRules(made, r); err != nil {
		return "", err
	}
	if err := os.Rename(path, filepath.Join(half, "old")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return path, os.Rename(made, path)
}

// savedRules writes what iptables-save printed, before the first break and at the end.
func savedRules(dir string, r *scenario.Result) error {
	for _, s := range r.Saved {
		for _, part := range []struct{ when, text string }{{"before", s.Before}, {"after", s.After}} {
			if part.text == "" {
				continue
			}
			name := filepath.Join(dir, "rules-"+s.Node+"-"+part.when+".txt")
			if err := os.WriteFile(name, []byte(part.text), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// WriteFile writes a file as a whole or not at all, in the place of an earlier one.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".ctsim-*")
	if err != nil {
		return err
	}
	half := f.Name()
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return errors.Join(err, os.Remove(half))
	}
	if err := writeFile(half, write); err != nil {
		return errors.Join(err, os.Remove(half))
	}
	return os.Rename(half, path)
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	return errors.Join(write(w), w.Flush(), f.Close())
}
