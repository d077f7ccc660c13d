package peer

import "fmt"

// MessageSize is the length of every message in bytes: the article's client sends its buffer of ten.
const MessageSize = 10

// Message is the text of one send: the connection's number, a dot, the number of the send. A server can tell from it
// which connection it serves even if the node has changed the source address.
func Message(connection, number int) []byte {
	return fmt.Appendf(nil, "%04d.%05d", connection, number)
}

// ParseMessage is the inverse of Message.
func ParseMessage(b []byte) (connection, number int, ok bool) {
	if len(b) != MessageSize || b[4] != '.' {
		return 0, 0, false
	}
	decimal := func(b []byte) int {
		n := 0
		for _, c := range b {
			if c < '0' || c > '9' {
				return -1
			}
			n = 10*n + int(c-'0')
		}
		return n
	}
	connection, number = decimal(b[:4]), decimal(b[5:])
	return connection, number, connection >= 0 && number >= 0
}
