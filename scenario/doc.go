// Package scenario is the language in which a claim about connection tracking is written down, and the machine that
// checks it: a YAML file is decoded and checked, becomes a plan (data only), is run in a world of its own while
// everything is watched, and ends in a verdict that rests on the observations made.
package scenario
