package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/packet/pcapng"
	"github.com/ctsim/ctsim/scenario/result"
)

// files are what a report folder holds, by name. One whose write is given nothing to tell is left out.
var files = []struct {
	name  string
	has   func(*result.Result) bool
	write func(io.Writer, *result.Result) error
}{
	{"report.html", always, HTML},
	{"report.txt", always, inText},
	{resultFile, always, JSON},
	{"packets.pcapng", HasPackets, Pcap},
	{"output.txt", hasOutput, output},
}

// resultFile marks a folder as a report of ctsim's.
const resultFile = "result.json"

func always(*result.Result) bool { return true }

// inText is all that can be said in text, in the form in which the terminal had it.
func inText(w io.Writer, r *result.Result) error {
	if r.Trial {
		return Try(w, r, TextOptions{Verbose: true})
	}
	return Text(w, r, TextOptions{Verbose: true})
}

// HasPackets tells whether there is anything to make a capture file of.
func HasPackets(r *result.Result) bool { return len(r.Capture.Hops) > 0 }

// Pcap writes the packets of a run as pcapng: an interface for each pod and node, a comment on the packets that matter.
func Pcap(w io.Writer, r *result.Result) error {
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
		return fmt.Errorf("the folder cannot be made: %w", bare(err))
	}
	if err := replaceable(filepath.Join(dir, scenario)); err != nil {
		return err
	}
	return checkWritable(dir)
}

// replaceable tells whether a path is free, or holds an earlier report and nothing else: nothing else is ever deleted.
func replaceable(path string) error {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is there already and is no report of ctsim's", path)
	}
	data, err := os.ReadFile(filepath.Join(path, resultFile))
	var mark struct {
		Schema   int    `json:"schema"`
		Scenario string `json:"scenario"`
	}
	if err != nil || json.Unmarshal(data, &mark) != nil || mark.Schema == 0 || mark.Scenario != filepath.Base(path) {
		return fmt.Errorf("%s is there already and is no report of ctsim's", path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !ours(e.Name()) {
			return fmt.Errorf("%s holds an earlier report, and %s beside it, which would be lost", path, e.Name())
		}
	}
	if err := movable(path); err != nil {
		return fmt.Errorf("%s is an earlier report that cannot be replaced: %w", path, err)
	}
	return nil
}

// ours tells whether a report has a file of this name.
func ours(name string) bool {
	for _, f := range files {
		if f.name == name {
			return true
		}
	}
	rules, _ := filepath.Match(savedRulesFile("*", "*"), name)
	return rules
}

// Folder writes everything there is about a run into dir/SCENARIO, in the place of an earlier report, and gives that
// path. The report is there as a whole or not at all. Of several runs that write the same one at the same time, the last
// one's stays.
func Folder(dir string, r *result.Result) (path string, err error) {
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := sweep(dir); err != nil {
		return "", err
	}
	half, err := os.MkdirTemp(dir, unfinished)
	if err != nil {
		return "", bare(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(half)) }()
	made := filepath.Join(half, "new")
	if err := os.Mkdir(made, 0o755); err != nil {
		return "", bare(err)
	}
	if err := fill(made, r); err != nil {
		return "", err
	}
	path = filepath.Join(dir, r.Scenario)
	if err := replaceable(path); err != nil {
		return "", err
	}
	if err := os.Rename(path, filepath.Join(half, "old")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", bare(err)
	}
	return path, bare(os.Rename(made, path))
}

// unfinished is how a report is called while it is written.
const unfinished = ".ctsim-report-*"

// sweep deletes what runs have left that were killed while they wrote. Nobody else is writing: the folder is locked.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if left, _ := filepath.Match(unfinished, e.Name()); left {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// fill writes the files of a report.
func fill(dir string, r *result.Result) error {
	put := func(name string, write func(io.Writer) error) error {
		err := writeFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, write)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	for _, f := range files {
		if !f.has(r) {
			continue
		}
		if err := put(f.name, func(w io.Writer) error { return f.write(w, r) }); err != nil {
			return err
		}
	}
	// What iptables-save printed, before the first break and at the end.
	for _, s := range r.Saved {
		for _, part := range []struct{ when, text string }{{"before", s.Before}, {"after", s.After}} {
			if part.text == "" {
				continue
			}
			err := put(savedRulesFile(s.Node, part.when), func(w io.Writer) error { return show(w, false, part.text) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func savedRulesFile(node, when string) string { return "rules-" + node + "-" + when + ".txt" }
