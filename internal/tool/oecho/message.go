// Package oecho sends one message from a client to a server, and back.
//
// The message is a text and a zero byte; the server returns the same bytes:
//
//	43 6c 69 65 6e 74 20 73 61 79 73 20 68 69 21 00    "Client says hi!"
package oecho

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Name is the name of the server.
const Name = "oecho"

// greeting is what the client sends, without the zero.
const greeting = "Client says hi!"

// maxMessage is the longest message in bytes that either side reads.
const maxMessage = 256

// encode makes the message of a text.
func encode(text string) []byte { return append([]byte(text), 0) }

// decode gives the text of a message: what comes before the first zero, with
// a replacement for all that could play tricks with a terminal.
func decode(message []byte) string {
	text, _, _ := bytes.Cut(message, []byte{0})
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, string(text))
}
