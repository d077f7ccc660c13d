// Package report renders the result of a run: as text for people, as a page, as one JSON document, as JSON lines while
// the run goes on, as a capture file, or as a folder with all of them. Every form is made from [result.Result] and
// [evidence.Observation] alone and takes no text apart, so that all of them tell the same. It renders the connections that
// an audit has found, too.
package report
