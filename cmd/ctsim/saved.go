package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/internal/safefile"
	"github.com/ctsim/ctsim/report"
	"github.com/ctsim/ctsim/scenario"
)

// saved is what a run writes besides stdout.
type saved struct {
	// folder holds a report folder for each scenario, pcap is a capture file; empty for none.
	folder, pcap string
}

// checkSaved finds before the run what would keep its files from being written.
func (inv *invocation) checkSaved(s saved, plans []*scenario.Plan) error {
	if s.pcap != "" && len(plans) > 1 {
		return inv.Usage("run", "--pcap is for one scenario, these are %d; --report writes a capture file for each", len(plans))
	}
	if s.pcap != "" {
		if inv.isStdout(s.pcap) {
			return cmdline.UsageHint(inv.Retyped(s.pcap, plans[0].Scenario+".pcapng"), "--pcap %s: stdout is for the report; name a file or a pipe", s.pcap)
		}
		if err := safefile.Check(s.pcap); err != nil {
			return cmdline.UsageHint(inv.elsewhere(s.pcap, "packets.pcapng"), "--pcap %s: %s", cmdline.Quote(s.pcap), err)
		}
	}
	if s.folder == "" {
		return nil
	}
	for _, one := range plans {
		if err := report.CheckFolder(s.folder, one.Scenario); err != nil {
			return cmdline.UsageHint(inv.elsewhere(s.folder, "report"), "--report %s: %s", cmdline.Quote(s.folder), err)
		}
	}
	return nil
}

// isStdout tells whether a file is what the report is written to. Nobody minds what /dev/null is given.
func (inv *invocation) isStdout(path string) bool {
	if path == "-" {
		return true
	}
	stdout, ok := inv.Stdout.Unwrap().(*os.File)
	if !ok || path == os.DevNull {
		return false
	}
	here, err := stdout.Stat()
	there, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(here, there)
}

// elsewhere is a command that mends what keeps a file from being written: it makes the folder that is not there, or else
// it is the command line with another place.
func (inv *invocation) elsewhere(path, instead string) string {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "mkdir -p " + cmdline.Quote(dir)
	}
	return inv.Retyped(path, filepath.Join(os.TempDir(), fmt.Sprintf("ctsim-%d-%s", os.Getuid(), instead)))
}

// save writes the files of one run, if it has come to a result, and says where they are.
func (inv *invocation) save(s saved, o outcome, status *status) error {
	if o.err != nil {
		return nil
	}
	var written []string
	if s.folder != "" {
		path, err := report.Folder(s.folder, o.result)
		if err != nil {
			return fmt.Errorf("the report of %s: %w", o.name, err)
		}
		written = append(written, "report: "+path+string(filepath.Separator))
	}
	if s.pcap != "" && report.HasPackets(o.result) {
		if err := safefile.Write(s.pcap, func(w io.Writer) error { return report.Pcap(w, o.result) }); err != nil {
			return fmt.Errorf("the packets of %s: %w", o.name, err)
		}
		written = append(written, "packets: "+s.pcap)
	}
	for _, line := range written {
		status.above(func() { fmt.Fprintln(inv.Stderr, line) })
	}
	return nil
}
