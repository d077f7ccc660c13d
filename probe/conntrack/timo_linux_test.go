package conntrack

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	timo "github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"

	"github.com/ctsim/ctsim/probe/nlmsg"
)

// timoMessages splits a datagram into the messages that github.com/ti-mo/conntrack reads: those about the table.
func timoMessages(datagram []byte) (messages []netlink.Message, err error) {
	err = nlmsg.Each(datagram, func(h nlmsg.Header, payload []byte) error {
		if h.Type == kindNew || h.Type == kindDelete {
			messages = append(messages, netlink.Message{Data: payload, Header: netlink.Header{
				Length: uint32(nlmsg.HeaderLen + len(payload)), Type: netlink.HeaderType(h.Type),
				Flags: netlink.HeaderFlags(h.Flags), Sequence: h.Sequence, PID: h.PortID,
			}})
		}
		return nil
	})
	return messages, err
}

// readByTimo is the event that github.com/ti-mo/conntrack makes of a message. The time, which it does not read, is got
// through its sister module.
func readByTimo(m netlink.Message) (Event, error) {
	var read timo.Event
	if err := read.Unmarshal(m); err != nil {
		return Event{}, err
	}
	e := Event{Entry: entryOf(*read.Flow), PortID: m.Header.PID}
	e.Type = map[string]EventType{"EventNew": New, "EventUpdate": Update, "EventDestroy": Destroy}[read.Type.String()]
	_, attributes, err := netfilter.DecodeNetlink(m)
	if err != nil {
		return e, err
	}
	for attributes.Next() {
		if attributes.Type() == ctaTimestampEvent {
			e.Time, e.KernelTime = time.Unix(0, int64(attributes.Uint64())), true
		}
	}
	return e, attributes.Err()
}

// difference compares ours with what ti-mo reads. Of the Has… fields that a Flow does not tell it takes ours, which must
// not hide a value.
func difference(theirs, ours Event) string {
	var hidden string
	for what, hides := range map[string]bool{
		"status":   !ours.HasStatus && theirs.Status != 0,
		"timeout":  !ours.HasTimeout && theirs.Timeout != 0,
		"mark":     !ours.HasMark && theirs.Mark != 0,
		"counters": !ours.HasCounters && (theirs.OriginalCount != Counter{} || theirs.ReplyCount != Counter{}),
	} {
		if hides {
			hidden += "ti-mo reads a " + what + " where ours has none\n"
		}
	}
	theirs.HasStatus, theirs.HasTimeout = ours.HasStatus, ours.HasTimeout
	theirs.HasMark, theirs.HasCounters = ours.HasMark, ours.HasCounters
	return hidden + cmp.Diff(theirs, ours, compareEvents)
}

// A comparison that is blind to a field would be green for nothing.
func TestDifferenceSeesEveryField(t *testing.T) {
	ours, _ := firstOf(t, "accounting", Destroy)
	ours.Zone, ours.Use, ours.Helper, ours.SecurityContext = 1, 2, "ftp", "unlabeled"
	if diff := difference(ours, ours); diff != "" {
		t.Fatalf("an event differs from itself: %s", diff)
	}
	for name, change := range map[string]func(e *Event){
		"type": func(e *Event) { e.Type = New }, "port id": func(e *Event) { e.PortID++ },
		"time": func(e *Event) { e.Time = e.Time.Add(1) }, "kernel time": func(e *Event) { e.KernelTime = false },
		"id": func(e *Event) { e.ID++ }, "protocol": func(e *Event) { e.Original.Protocol = ProtocolUDP },
		"original": func(e *Event) { e.Original = e.Original.Invert() }, "reply": func(e *Event) { e.Reply.Src = e.Reply.Dst },
		"icmp": func(e *Event) { e.Reply.ICMP.ID = 1 }, "status": func(e *Event) { e.Status ^= StatusDying },
		"no status": func(e *Event) { e.HasStatus = false }, "timeout": func(e *Event) { e.Timeout++ },
		"no timeout": func(e *Event) { e.HasTimeout = false }, "state": func(e *Event) { e.TCP++ },
		"no state": func(e *Event) { e.HasTCP = false }, "mark": func(e *Event) { e.Mark++ },
		"no mark": func(e *Event) { e.HasMark = false }, "use": func(e *Event) { e.Use++ }, "zone": func(e *Event) { e.Zone++ },
		"helper": func(e *Event) { e.Helper = "" }, "label": func(e *Event) { e.SecurityContext = "" },
		"packets": func(e *Event) { e.OriginalCount.Packets++ }, "bytes": func(e *Event) { e.ReplyCount.Bytes++ },
		"no counters": func(e *Event) { e.HasCounters = false }, "start": func(e *Event) { e.Start = time.Time{} },
		"stop": func(e *Event) { e.Stop = time.Time{} },
	} {
		other := ours
		if change(&other); difference(ours, other) == "" {
			t.Errorf("%s: no difference is seen", name)
		}
	}
}

// The table of all recorded messages: ours and ti-mo's reading are the same, field by field, and so the line, the port id,
// the time and who destroyed. With -v it is printed.
func TestRecordingsReadByTimo(t *testing.T) {
	compared := 0
	for _, path := range recordings(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		for i, r := range readRecording(t, path) {
			events, err := Decode(r.bytes)
			messages, split := timoMessages(r.bytes)
			if err = errors.Join(err, split); err != nil || len(events) != 1 || len(messages) != 1 {
				t.Fatalf("%s: %d events, %d messages, %v", r.line, len(events), len(messages), err)
			}
			ours := events[0]
			theirs, err := readByTimo(messages[0])
			if err != nil {
				t.Errorf("%s: ti-mo: %v", r.line, err)
				continue
			}
			if diff := difference(theirs, ours); diff != "" {
				t.Errorf("%s: -ti-mo +ours:\n%s", r.line, diff)
			}
			theirs.HasStatus, theirs.HasTimeout = ours.HasStatus, ours.HasTimeout
			theirs.HasMark, theirs.HasCounters = ours.HasMark, ours.HasCounters
			compareLine(t, theirs, r.line)
			t.Logf("%-10s %2d  port id %-10d %s  %-32s %s", name, i, theirs.PortID, theirs.Time.UTC().Format("15:04:05.000000"),
				theirs.DestroyedBy(), theirs)
			compared++
		}
	}
	if compared < 41 {
		t.Errorf("%d messages compared, at least 41 are recorded", compared)
	}
}

// plain rewrites the messages of a datagram to what both readers take something of: the attributes that ours reads, each
// once, as the kernel sends them; and of CTA_PROTOINFO only that of TCP, since ours tells nothing of DCCP and SCTP.
func plain(datagram []byte) [][]byte {
	ours := []uint16{ctaTupleOrig, ctaTupleReply, ctaStatus, ctaProtoInfo, ctaHelp, ctaTimeout, ctaMark, ctaCountersOrig,
		ctaCountersReply, ctaUse, ctaID, ctaZone, ctaSecCtx, ctaTimestamp}
	var messages [][]byte
	_ = nlmsg.Each(datagram, func(h nlmsg.Header, payload []byte) error {
		if h.Type != kindNew && h.Type != kindDelete {
			return nil
		}
		var attributes [][]byte
		var seen []uint16
		err := nlmsg.EachNetfilter(payload, func(a nlmsg.Attribute) error {
			if !slices.Contains(ours, a.Type) || slices.Contains(seen, a.Type) || a.Type == ctaProtoInfo && !aboutTCP(a) {
				return nil
			}
			seen = append(seen, a.Type)
			kind := a.Type
			if a.Nested {
				kind |= nlmsg.FlagNested
			}
			attributes = append(attributes, attr(kind, a.Value...))
			return nil
		})
		if err == nil {
			messages = append(messages, message(h.Type, attributes...))
		}
		return nil
	})
	return messages
}

func aboutTCP(a nlmsg.Attribute) bool {
	tcp := true
	_ = nlmsg.EachAttribute(a.Value, func(a nlmsg.Attribute) error {
		tcp = tcp && a.Type == ctaProtoInfoTCP
		return nil
	})
	return tcp
}

// stricter tells whether ours refuses what no kernel sends and ti-mo takes: an attribute shorter than its own header, a
// nest inside another without its flag, a type over 255, of which ti-mo sees the lower eight bits.
func stricter(err error) bool {
	text := err.Error()
	_, number, _ := strings.Cut(text, "unknown attribute: type ")
	kind, _ := strconv.Atoi(number)
	return strings.Contains(text, "says 0 bytes") || strings.Contains(text, "NLA_F_NESTED") || kind > 255
}

// FuzzDecodeLikeTimo holds that ours and ti-mo's agree on whatever is sent: both refuse it, or both read the same.
func FuzzDecodeLikeTimo(f *testing.F) {
	for _, path := range recordings(f) {
		for _, r := range readRecording(f, path) {
			f.Add(r.bytes)
		}
	}
	f.Add(message(kindNew, nest(ctaHelp, attr(ctaHelpName, []byte("ftp\x00")...)), attr(ctaZone, 0, 9)))
	f.Add(message(kindNew, nest(ctaSecCtx, attr(ctaSecCtxName, []byte("unlabeled\x00")...)), attr(ctaUse, 0, 0, 0, 1)))
	f.Add(message(kindNew, nest(ctaTupleOrig, attr(99, 1), attr(ctaTupleZone, 0, 1))))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		for _, b := range plain(datagram) {
			messages, err := timoMessages(b)
			if err != nil || len(messages) != 1 {
				t.Fatalf("%d messages, %v", len(messages), err)
			}
			events, ourErr := Decode(b)
			theirs, theirErr := readByTimo(messages[0])
			switch {
			case ourErr != nil && theirErr != nil:
			case theirErr != nil:
				t.Errorf("ours reads %q, ti-mo says: %v", events[0], theirErr)
			case ourErr != nil && stricter(ourErr):
			case ourErr != nil:
				t.Errorf("ti-mo reads %q, ours says: %v", theirs, ourErr)
			default:
				if diff := difference(theirs, events[0]); diff != "" {
					t.Errorf("-ti-mo +ours:\n%s", diff)
				}
			}
		}
	})
}

// BenchmarkDecodeByTimo is BenchmarkDecode with ti-mo's reader.
func BenchmarkDecodeByTimo(b *testing.B) {
	_, datagram := firstOf(b, "article", Destroy)
	b.ReportAllocs()
	for b.Loop() {
		messages, err := timoMessages(datagram)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := readByTimo(messages[0]); err != nil {
			b.Fatal(err)
		}
	}
}
