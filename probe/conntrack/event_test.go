package conntrack

import (
	"testing"
	"time"
)

func TestDestroyedBy(t *testing.T) {
	tcp := func(state TCPState, left time.Duration) Entry {
		return Entry{HasTCP: true, TCP: state, HasTimeout: true, Timeout: left}
	}
	for _, c := range []struct {
		name  string
		event Event
		want  Destroyer
	}{
		{"zero value", Event{}, NotDestroyed},
		{"new", Event{Type: New, Entry: tcp(TCPClose, time.Second)}, NotDestroyed},
		{"update by a caller", Event{Type: Update, PortID: 7}, NotDestroyed},
		{"no time left", Event{Type: Destroy, Entry: Entry{HasTCP: true, TCP: TCPEstablished}}, Expired},
		{"no time left after an RST", Event{Type: Destroy, Entry: Entry{HasTCP: true, TCP: TCPClose}}, Expired},
		{"timeout 0", Event{Type: Destroy, Entry: tcp(TCPEstablished, 0)}, Expired},
		{"UDP, no time left", Event{Type: Destroy}, Expired},
		{"TCP before Linux 5.12", Event{Type: Destroy, Entry: Entry{Original: Tuple{Protocol: ProtocolTCP}}}, Untold},
		{"flush before Linux 5.12", Event{Type: Destroy, PortID: 7, Entry: Entry{Original: Tuple{Protocol: ProtocolTCP}}}, Caller},
		{"flush", Event{Type: Destroy, PortID: 7, Entry: tcp(TCPEstablished, time.Hour)}, Caller},
		{"flush of a closed one", Event{Type: Destroy, PortID: 7, Entry: tcp(TCPClose, time.Second)}, Caller},
		{"flush of one that had just expired", Event{Type: Destroy, PortID: 7}, Caller},
		{"RST", Event{Type: Destroy, Entry: tcp(TCPClose, 300*time.Second)}, Reset},
		{"RST within the last second", Event{Type: Destroy, Entry: Entry{TCP: TCPClose, HasTCP: true, HasStatus: true}}, Reset},
		{"CLOSE, expired", Event{Type: Destroy, Entry: Entry{TCP: TCPClose, HasTCP: true, HasStatus: true, Status: StatusSeenReply}}, Expired},
		{"early drop", Event{Type: Destroy, Entry: tcp(TCPSynSent, 100*time.Second)}, Kernel},
		{"UDP, time left", Event{Type: Destroy, Entry: Entry{HasTimeout: true, Timeout: time.Second}}, Kernel},
	} {
		if got := c.event.DestroyedBy(); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWordsForPeople(t *testing.T) {
	for got, want := range map[string]string{
		EventType(0).String():                      "unknown",
		New.String() + Update.String():             "NEWUPDATE",
		Destroyer(99).String():                     "unknown",
		Reset.String():                             "ended by an RST",
		TCPState(200).String():                     "NONE",
		TCPSynSent2.String():                       "SYN_SENT2",
		Status(0).String():                         "NONE",
		(StatusSeenReply | StatusAssured).String(): "SEEN_REPLY|ASSURED",
		(StatusHWOffload | 1<<20).String():         "HW_OFFLOAD|0x100000",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
