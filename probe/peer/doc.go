// Package peer is the two ends of a connection as the article's C programs are: a client and a server of plain TCP, or
// UDP, sockets, with keepalive off unless it is asked for. A run puts them into pods to act; every call they make and
// what came of it is reported. The packages beside this one watch.
package peer
