// Package ctsim holds the built-in scenarios, so that the binary needs no file beside it.
package ctsim

import _ "embed"

// Scenarios is scenarios.yaml.
//
//go:embed scenarios.yaml
var Scenarios []byte
