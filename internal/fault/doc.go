// Package fault plants faults into what tells outcomes and verdicts, so that `make torture` can show that it finds them. Only a
// build with the tag torture can: in every other Is is a constant, and the compiler leaves out what stands behind it.
package fault
