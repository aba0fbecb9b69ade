// Package obc sends a message to all who have joined a broadcast layer, and
// prints what others send.
//
// The message is a text and a zero byte, as the process wrote it; the layer adds
// nothing:
//
//	68 65 79 00    "hey"
package obc

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// greeting is what is sent when nothing else is given.
const greeting = "Ouroboros multicast rocks!"

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
