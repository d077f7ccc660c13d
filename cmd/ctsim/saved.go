package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/ctsim/ctsim/report"
	"github.com/ctsim/ctsim/scenario"
)

// saved is what a run writes besides stdout.
type saved struct {
	// folder holds a report folder for each scenario, pcap is a capture file; empty for none.
	folder, pcap string
}

// checkSaved finds before the run what would keep its files from being written.
func (inv *invocation) checkSaved(s saved, scenarios []scenario.Scenario) error {
	if s.pcap != "" && len(scenarios) > 1 {
		return inv.usage("run", "--pcap is for one scenario, these are %d; --report writes a capture file for each", len(scenarios))
	}
	if s.pcap != "" {
		if err := report.CheckWritable(filepath.Dir(s.pcap)); err != nil {
			return inv.usage("run", "--pcap %s: %s", quote(s.pcap), err)
		}
	}
	if s.folder == "" {
		return nil
	}
	for _, one := range scenarios {
		if err := report.CheckFolder(s.folder, one.Name); err != nil {
			return inv.usage("run", "--report %s: %s", quote(s.folder), err)
		}
	}
	return nil
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
		if err := report.WriteFile(s.pcap, func(w io.Writer) error { return report.Pcap(w, o.result) }); err != nil {
			return fmt.Errorf("the packets of %s: %w", o.name, err)
		}
		written = append(written, "packets: "+s.pcap)
	}
	for _, line := range written {
		status.above(func() { fmt.Fprintln(inv.stderr, line) })
	}
	return nil
}
