// Package strictyaml reads YAML that a stranger has written, into structs whose tags say what is allowed. It is bounded in
// size, in what may be in it, in depth and width, before the parser sees it, so that no file takes the machine's time or memory, and strict: an unknown key, a key given
// twice, a number out of range, an alias is a problem. All problems of a file are found at once, each with its line,
// column and field, what was expected, and the nearest valid name.
//
// The tags of a field:
//
//	yaml     its key, and ",required" if it has to be there; a field without one is not decoded
//	min, max limits of a number or a duration
//	unit     of a duration: what it must be a multiple of
//	enum     the words that are allowed, separated by commas
//	pattern  a regular expression that a text must match
//	format   "ipv4"
//	text     what a text may be: one line whose every character can be seen, unless it is "lines", several such lines, or
//	         "data", any characters, for a program
//	scalar   not empty: a number or a truth value is taken as its text
//	default  what [SetDefaults] gives the field if it is zero
//	short    not empty: the field that [Decoder.Body] fills with a value that is no mapping
package strictyaml
