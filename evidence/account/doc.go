// Package account tells what became of connections, from evidence alone: the outcome of each, its entries and backends,
// and, sentence by sentence, what happened, each sentence with the observations that it rests on. It owns the names of
// outcomes. It knows no scenario and no expectation; everything here is pure.
package account
