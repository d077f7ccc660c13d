package account

// Outcome is what became of a connection, as its balance shows.
type Outcome string

// The outcomes. HalfOpen is that of a peer left behind, all others are the connection's as a whole.
const (
	// Survived: everything since the last break has arrived, at the endpoint that had the connection, at least one message
	// among it; both sockets are open and agree. They agree half-closed too: one side has ended its stream, and its FIN was
	// acknowledged. With UDP: the last message has arrived at an endpoint, and its answer at the client. A program that
	// ctsim has not written may have closed the connection in order once it had used it.
	Survived Outcome = "survived"
	// Closed: both sides have ended the connection in order, and both FINs were acknowledged.
	Closed Outcome = "closed"
	// Reset: a RST has ended it at one end, whether its program has looked or not.
	Reset Outcome = "reset"
	// Hang: what was sent last, a FIN too, was sent again and is not acknowledged, or was tried again and has never left its
	// own machine; with UDP the last message has arrived nowhere, or its answer has not.
	Hang Outcome = "hang"
	// Refused: nobody takes it, by a RST in answer to the SYN or an ICMP error; with UDP the last message was refused.
	Refused Outcome = "refused"
	// Timeout: one end's kernel has given it up on its own, or its program has.
	Timeout Outcome = "timeout"
	// WrongBackend: a message has arrived at another server than the first, or at one that is no endpoint.
	WrongBackend Outcome = "wrong-backend"
	// Reconnected is a connection that was lost and that the client's program has replaced by a new one by itself.
	Reconnected Outcome = "reconnected"
	// Unknown: no item of the balance shows one of the others. It was not used since the last break, or what would tell was
	// not watched. No expectation passes over it.
	Unknown  Outcome = "unknown"
	HalfOpen Outcome = "half-open"
)

// Outcomes are those a connection as a whole can have, in the order of summaries.
var Outcomes = []Outcome{Survived, Closed, Reset, Hang, Refused, Timeout, WrongBackend, Reconnected, Unknown}

// Nobody is who noticed that a connection was lost, if no program was told.
const Nobody = "nobody"

// Connection is what became of one connection of the client.
type Connection struct {
	// ID counts from 1.
	ID int `json:"id"`
	// Local is the client's ip:port.
	Local   string  `json:"local"`
	Outcome Outcome `json:"outcome"`
	// Errno is the first error an application met, "ECONNRESET" for instance; empty if none did.
	Errno string `json:"errno"`
	// NoticedBy is the side that met it: "client" or "server"; Nobody if the connection is lost and no application was told;
	// empty otherwise.
	NoticedBy string `json:"noticed_by"`
	// Backends are the pods the flow was translated to, in order, one for each time an entry was made.
	Backends []string `json:"backends"`
	// Breaks counts how often the flow's entry was destroyed while the connection was open.
	Breaks int `json:"breaks"`
	// HalfClosed is true if the connection survived and one side has ended its stream in order.
	HalfClosed bool `json:"half_closed,omitempty"`
	// LostMessages counts the client's messages, sent with success, that no server has received; LostAnswers what servers
	// have sent with success and the client's kernel has not got. Nil if that is not known, as of programs that tell nothing
	// of their calls.
	LostMessages *int `json:"lost_messages,omitempty"`
	LostAnswers  *int `json:"lost_answers,omitempty"`
	// Balance is what the outcome was read off: both ends, item by item.
	Balance Balance `json:"balance"`
	// Peer is HalfOpen if the other side still holds its socket established; empty otherwise.
	Peer Outcome `json:"peer,omitempty"`
	// NoticedAt is when the kernel told NoticedBy, in seconds since the start of the run; only of a program's connections.
	NoticedAt *float64 `json:"noticed_at,omitempty"`
	// Replaces is the ID of the lost connection in whose place the client's program has opened this one.
	Replaces int `json:"replaces,omitempty"`
	// Untested is why nothing is known of how a program's connection takes a break, in words: it was closed before, for
	// instance. No expectation passes over it.
	Untested string `json:"untested,omitempty"`
	// ClientSocket and ServerSocket are what programs that ctsim has not written have set on their ends.
	ClientSocket *SocketSettings `json:"client_socket,omitempty"`
	ServerSocket *SocketSettings `json:"server_socket,omitempty"`
}

// SocketSettings are what a program has set on its end of a connection, as the kernel had it before the first break.
type SocketSettings struct {
	// Process is the name of the process that holds the socket.
	Process string `json:"process"`
	// KeepAlive is SO_KEEPALIVE; IdleS, IntervalS and Count are its timers in seconds, in force only if it is set.
	KeepAlive bool    `json:"keepalive"`
	IdleS     float64 `json:"idle_s"`
	IntervalS float64 `json:"interval_s"`
	Count     int     `json:"count"`
	// UserTimeoutS is TCP_USER_TIMEOUT in seconds; 0 is the kernel's default.
	UserTimeoutS float64 `json:"user_timeout_s"`
	// Text is the same in words.
	Text string `json:"text"`
}
