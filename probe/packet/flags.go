package packet

import "strings"

// TCPFlags are the flags of a TCP header (byte 13, RFC 9293). The zero value has none set.
type TCPFlags uint8

// The flags, from the lowest bit up.
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// flagNames has tcpdump's letter and the header's name of each flag, from the lowest bit up.
var flagNames = [8]struct{ letter, name string }{
	{"F", "FIN"}, {"S", "SYN"}, {"R", "RST"}, {"P", "PSH"},
	{".", "ACK"}, {"U", "URG"}, {"E", "ECE"}, {"W", "CWR"},
}

// Has says whether all of the given flags are set.
func (f TCPFlags) Has(flags TCPFlags) bool { return f&flags == flags }

// String is tcpdump's form without the brackets: "S", "S.", "P.", "R"; "none" when no flag is set.
func (f TCPFlags) String() string {
	if f == 0 {
		return "none"
	}
	var b strings.Builder
	for i, n := range flagNames {
		if f&(1<<i) != 0 {
			b.WriteString(n.letter)
		}
	}
	return b.String()
}

// Names is the form in words: "SYN", "SYN,ACK", "PSH,ACK", "RST"; "none" when no flag is set.
func (f TCPFlags) Names() string {
	if f == 0 {
		return "none"
	}
	var names []string
	for i, n := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ",")
}
