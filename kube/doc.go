// Package kube holds what Kubernetes says of a Service and of kube-proxy, as plain values: what a plan is made of, and what
// package dataplane turns into rules. It is pure, and knows no rule, no namespace and no kernel.
package kube
