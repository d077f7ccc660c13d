// Package pcapng writes the packets of a run into one capture file that Wireshark, tshark and tcpdump read: an
// interface for each hop, named after the pod or node, times in nanoseconds, and a comment on the packets that matter.
//
// It is apart from package packet because only it needs the library's writer (gopacket's pcapgo) and what comes with
// that.
package pcapng

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/probe/packet"
)

// maxOption is the longest option of a block, in bytes: its length is a 16-bit field.
const maxOption = math.MaxUint16

// Write writes a capture file of one section.
//
// Run is the section's comment, what it is a capture of; "" writes none. Hops become the interfaces, in their order, at
// least one; the number of packets lost at each stands in its statistics (isb_ifdrop). Packets may come in any order
// and are written in the order of time, with their direction (epb_flags); one from a place that is not among the hops
// is an error. Comment gives a packet's comment (opt_comment), "" for none; nil comments nothing. Comments of more than
// 65535 bytes are cut.
//
// What it wrote before an error is no valid file.
func Write(w io.Writer, run string, hops []packet.Hop, packets []packet.Packet,
	comment func(packet.Packet) string) error {
	if len(hops) == 0 {
		return errors.New("pcapng: a capture file needs at least one hop")
	}
	sorted := slices.Clone(packets)
	packet.Sort(sorted)

	f, err := begin(w, run, hops)
	if err != nil {
		return fmt.Errorf("pcapng: %w", err)
	}
	for i, p := range sorted {
		note := ""
		if comment != nil {
			note = comment(p)
		}
		if err := f.packet(p, note); err != nil {
			return fmt.Errorf("pcapng: packet %d, %s: %w", i+1, p, err)
		}
	}
	if err := f.statistics(hops, sorted); err != nil {
		return fmt.Errorf("pcapng: %w", err)
	}
	if err := f.writer.Flush(); err != nil {
		return fmt.Errorf("pcapng: %w", err)
	}
	return nil
}

// Stream writes packets as they come, for a program that reads them at the same time: `wireshark -k -i -`. Make one with
// Begin. What has been written is a valid file at any moment.
type Stream struct{ file *file }

// Begin writes the beginning of a capture file: run and hops as in Write.
func Begin(w io.Writer, run string, hops []packet.Hop) (*Stream, error) {
	if len(hops) == 0 {
		return nil, errors.New("pcapng: a capture file needs at least one hop")
	}
	f, err := begin(w, run, hops)
	if err == nil {
		err = f.writer.Flush()
	}
	if err != nil {
		return nil, fmt.Errorf("pcapng: %w", err)
	}
	return &Stream{f}, nil
}

// Packet writes one packet, and returns when it has been handed to the file.
func (s *Stream) Packet(p packet.Packet) error {
	err := s.file.packet(p, "")
	if err == nil {
		err = s.file.writer.Flush()
	}
	if err != nil {
		return fmt.Errorf("pcapng: %w", err)
	}
	return nil
}

// End writes how many packets each hop saw and lost.
func (s *Stream) End(hops []packet.Hop, last time.Time) error {
	err := s.file.statistics(hops, []packet.Packet{{Time: last}})
	if err == nil {
		err = s.file.writer.Flush()
	}
	if err != nil {
		return fmt.Errorf("pcapng: %w", err)
	}
	return nil
}

// place is what ties a packet to its hop.
type place struct{ at, iface string }

// file is a capture file that is being written.
type file struct {
	writer *pcapgo.NgWriter
	ids    map[place]int // the interfaces
	seen   []uint64      // packets per interface
}

// begin writes the section header and the interfaces.
func begin(w io.Writer, run string, hops []packet.Hop) (*file, error) {
	section := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{
		Hardware: runtime.GOARCH, OS: runtime.GOOS, Application: "ctsim", Comment: cut(run),
	}}
	f := &file{ids: map[place]int{}, seen: make([]uint64, len(hops))}
	for id, hop := range hops {
		at := place{hop.At, hop.Interface}
		if _, ok := f.ids[at]; ok {
			return nil, fmt.Errorf("hop %s of %s is given twice", hop.Interface, hop.At)
		}
		f.ids[at] = id
		description := pcapgo.NgInterface{
			Name: cut(hop.At), Description: cut(hop.Interface + " of " + hop.At), LinkType: layers.LinkTypeEthernet,
		}
		var err error
		if id == 0 {
			f.writer, err = pcapgo.NewNgWriterInterface(w, description, section)
		} else {
			_, err = f.writer.AddInterface(description)
		}
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *file) packet(p packet.Packet, comment string) error {
	id, ok := f.ids[place{p.At, p.Interface}]
	if !ok {
		return fmt.Errorf("%s of %s is not among the hops", p.Interface, p.At)
	}
	f.seen[id]++
	info := gopacket.CaptureInfo{
		Timestamp: p.Time, CaptureLength: len(p.Data), Length: max(p.Length, len(p.Data)), InterfaceIndex: id,
	}
	options := pcapgo.NgPacketOptions{Flags: &pcapgo.NgEpbFlags{Direction: direction(p.Direction)}}
	if comment != "" {
		options.Comments = []string{cut(comment)}
	}
	return f.writer.WritePacketWithOptions(info, p.Data, options)
}

// statistics writes how many packets each interface saw and lost, as of the last packet.
func (f *file) statistics(hops []packet.Hop, sorted []packet.Packet) error {
	var last time.Time
	if len(sorted) > 0 {
		last = sorted[len(sorted)-1].Time
	}
	for id, hop := range hops {
		err := f.writer.WriteInterfaceStats(id, pcapgo.NgInterfaceStatistics{
			LastUpdate: last, PacketsReceived: f.seen[id] + uint64(hop.Dropped), PacketsDropped: uint64(hop.Dropped),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func direction(d packet.Direction) pcapgo.NgEpbFlag {
	switch d {
	case packet.In:
		return pcapgo.NgEpbFlagDirectionInbound
	case packet.Out:
		return pcapgo.NgEpbFlagDirectionOutbound
	default:
		return pcapgo.NgEpbFlagDirectionUnknown
	}
}

// cut shortens a comment to what an option holds. The library would write a longer one with a wrong length. What it says
// is shown by tcpdump and others as it is, so that it has to be fit for a terminal.
func cut(s string) string {
	if s = printable.Text(s); len(s) <= maxOption {
		return s
	}
	return strings.ToValidUTF8(s[:maxOption], "")
}
