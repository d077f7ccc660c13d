package account

// Outcome is what became of a connection.
type Outcome string

// The outcomes. HalfOpen is that of a peer left behind, all others are the connection's as a whole.
const (
	Survived     Outcome = "survived"
	Reset        Outcome = "reset"
	Hang         Outcome = "hang"
	Refused      Outcome = "refused"
	Timeout      Outcome = "timeout"
	WrongBackend Outcome = "wrong-backend"
	// Reconnected is a connection that was lost and that the client's program has replaced by a new one by itself.
	Reconnected Outcome = "reconnected"
	HalfOpen    Outcome = "half-open"
)

// Outcomes are those a connection as a whole can have, in the order of summaries.
var Outcomes = []Outcome{Survived, Reset, Hang, Refused, Timeout, WrongBackend, Reconnected}

// Connection is what became of one connection of the client.
type Connection struct {
	// ID counts from 1.
	ID int `json:"id"`
	// Local is the client's ip:port.
	Local   string  `json:"local"`
	Outcome Outcome `json:"outcome"`
	// Errno is the first error an application met, "ECONNRESET" for instance; empty if none did.
	Errno string `json:"errno"`
	// NoticedBy is the side that met it: "client", "server" or empty.
	NoticedBy string `json:"noticed_by"`
	// Backends are the pods the flow was translated to, in order, one for each time an entry was made.
	Backends []string `json:"backends"`
	// Breaks counts how often the flow's entry was destroyed while the connection was open.
	Breaks int `json:"breaks"`
	// Peer is HalfOpen if the other side still holds its socket established; empty otherwise.
	Peer Outcome `json:"peer,omitempty"`
	// NoticedAt is when the kernel told NoticedBy, in seconds since the start of the run; only of a program's connections.
	NoticedAt *float64 `json:"noticed_at,omitempty"`
	// Replaces is the ID of the lost connection in whose place the client's program has opened this one.
	Replaces int `json:"replaces,omitempty"`
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
