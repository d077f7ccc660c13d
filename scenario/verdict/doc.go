// Package verdict holds what a scenario expects against the accounts of its connections and the evidence: pass, fail, or
// inconclusive where what would have to be known was not watched or was lost. It is pure.
package verdict
