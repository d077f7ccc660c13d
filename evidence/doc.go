// Package evidence is what was observed: typed facts on one clock, each with its time and place, the world that they are
// about, and what was lost or not watched. It knows no scenario: whether a run of ctsim gathered the facts or somebody
// else is all the same to it and to what is made of them.
//
// An [Observation] is one fact as it is reported: typed, and in words. The [Evidence.Timeline] is all of them in order.
// Everything here is pure.
package evidence
