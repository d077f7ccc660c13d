package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/ctsim/ctsim/internal/safefile"
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
	in, err := safefile.OpenFolder(dir)
	if err != nil {
		return fmt.Errorf("the folder cannot be made: %w", err)
	}
	defer in.Close()
	path := filepath.Join(dir, scenario)
	if err := in.CheckReplace(scenario, isReport(path)); err != nil {
		return notReplaced(path, err)
	}
	return in.CheckWritable(dir)
}

// isReport makes a function that tells whether a folder is an earlier report of its scenario and nothing else: nothing else
// is ever deleted.
func isReport(path string) func(*safefile.Earlier) error {
	return func(e *safefile.Earlier) error {
		data, err := e.Read(resultFile)
		var mark struct {
			Schema   int    `json:"schema"`
			Scenario string `json:"scenario"`
		}
		if err != nil || json.Unmarshal(data, &mark) != nil || mark.Schema == 0 || mark.Scenario != filepath.Base(path) {
			return safefile.ErrForeign
		}
		for _, name := range e.Names {
			if !ours(name) {
				return fmt.Errorf("%s holds an earlier report, and %s beside it, which would be lost", path, name)
			}
		}
		return nil
	}
}

// notReplaced is why a report cannot take the place of what is there.
func notReplaced(path string, err error) error {
	if errors.Is(err, safefile.ErrForeign) {
		return fmt.Errorf("%s is there already and is no report of ctsim's", path)
	}
	return err
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
// path. The report is there as a whole or not at all, and so is the earlier one until then. Of several runs that write the
// same one at the same time, the last one's stays.
func Folder(dir string, r *result.Result) (path string, err error) {
	in, err := safefile.OpenFolder(dir)
	if err != nil {
		return "", err
	}
	defer in.Close()
	path = filepath.Join(dir, r.Scenario)
	err = in.Replace(r.Scenario, isReport(path), func(d *safefile.Draft) error { return fill(d, r) })
	return path, notReplaced(path, err)
}

// fill writes the files of a report.
func fill(d *safefile.Draft, r *result.Result) error {
	put := func(name string, write func(io.Writer) error) error {
		if err := d.Write(name, write); err != nil {
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
