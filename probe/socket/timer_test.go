package socket

import (
	"testing"
	"time"
)

func TestTimerAsNetstatAndSSPrintIt(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		timer       Timer
		netstat, ss string
	}{
		{Timer{}, "off (0.00/0/0)", ""},
		{Timer{Kind: Off, Expires: time.Second}, "off (0.00/0/0)", ""},
		{Timer{Kind: Off, Retransmits: 3}, "off (0.00/3/0)", ""},
		{Timer{Kind: Keepalive, Expires: 34349 * ms}, "keepalive (34.34/0/0)", "timer:(keepalive,34sec,0)"},
		{Timer{Kind: Keepalive, Expires: 7200 * time.Second, Probes: 2}, "keepalive (7200.00/0/2)", "timer:(keepalive,120min,2)"},
		{Timer{Kind: Keepalive, Expires: 119_999 * ms}, "keepalive (119.99/0/0)", "timer:(keepalive,1min59sec,0)"},
		{Timer{Kind: Keepalive, Expires: 600_500 * ms}, "keepalive (600.50/0/0)", "timer:(keepalive,10min,0)"},
		{Timer{Kind: Keepalive, Expires: 60_500 * ms}, "keepalive (60.50/0/0)", "timer:(keepalive,1min,0)"},
		{Timer{Kind: Retransmit, Expires: 768 * ms, Retransmits: 2}, "on (0.76/2/0)", "timer:(on,768ms,2)"},
		{Timer{Kind: Retransmit, Expires: 4832 * ms, Retransmits: 6, Probes: 1}, "on (4.83/6/1)", "timer:(on,4.832ms,6)"},
		{Timer{Kind: Retransmit, Expires: 9005 * ms}, "on (9.00/0/0)", "timer:(on,9.005ms,0)"},
		{Timer{Kind: Retransmit, Expires: 9000 * ms}, "on (9.00/0/0)", "timer:(on,9sec,0)"},
		{Timer{Kind: Retransmit}, "on (0.00/0/0)", "timer:(on,,0)"},
		{Timer{Kind: TimeWaiting, Expires: 59_990 * ms}, "timewait (59.99/0/0)", "timer:(timewait,59sec,0)"},
		{Timer{Kind: Probe, Expires: 5 * ms, Probes: 4}, "probe (0.00/0/4)", "timer:(persist,005ms,4)"},
		{Timer{Kind: 9, Expires: time.Second}, "unkn-9 (1.00/0/0)", "timer:(unknown,1sec,0)"},
	} {
		if got := c.timer.Netstat(); got != c.netstat {
			t.Errorf("%+v: netstat %q, want %q", c.timer, got, c.netstat)
		}
		if got := c.timer.SS(); got != c.ss {
			t.Errorf("%+v: ss %q, want %q", c.timer, got, c.ss)
		}
	}
}
