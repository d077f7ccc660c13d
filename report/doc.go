// Package report renders the result of a run: as text for people, as one JSON document, or as JSON lines while the run
// goes on. Every form is made from [scenario.Result] and [scenario.Observation] alone, so that all of them tell the same.
package report
