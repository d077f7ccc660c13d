// Package scenario is the language in which a claim about connection tracking is written down, and the plan that a
// scenario becomes. A YAML file is decoded and checked against the language ([Parse]), which gives a [Library] of
// scenarios or all [Problems] of the file at once. A scenario is settled into a [Plan]: every default, address, name and
// size is in it, so that whoever builds its world, takes its steps, says them by hand or judges what came of them
// recomputes nothing.
//
// A Library and a Plan are plain data and never written to once they are made, so that many runs may share them. Nothing
// here runs anything or needs privileges: build and replay do, and verdict holds what they have seen against what the
// scenario expects.
package scenario
