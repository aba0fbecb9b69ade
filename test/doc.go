// Package test holds the tests that need a whole host: the commands as they
// are built, a daemon, processes that are killed, and the documentation run
// as it stands.
package test
