package daemon

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"ouroboros/internal/config"
)

// Options are what the command line says.
type Options struct {
	Stdout     bool        // log to standard output, for people
	Config     string      // path of the configuration file; empty = none
	Level      *slog.Level // nil = not said
	Format     string      // "text", "json"; empty = not said
	RuntimeDir string      // empty = not said
	ClockSlack int         // in ms; 0 = not said
	User       string      // that a daemon of root becomes; empty = not said
	Sandbox    bool
	Check      bool // read the configuration and stop
	Version    bool
	Help       bool
}

// Usage is the text of --help.
const Usage = `Usage: irmd [OPTION]...

The daemon of an Ouroboros node: it runs the node's IPC processes, knows its
names, and gives flows to the processes of this machine. It stays in the
foreground and ends on SIGTERM or SIGINT.

  --config FILE        do what the configuration file says
  --check              look for mistakes in the configuration file, then stop
  --stdout             log to standard output, for reading (colours on a
                       terminal); without it to standard error, for machines
  --log-level LEVEL    debug, info, warn or error (default: info)
  --log-format FORMAT  text or json (default: text)
  --runtime-dir DIR    where the sockets are; default: $OUROBOROS_RUNTIME_DIR,
                       else /run/ouroboros as root, else
                       $XDG_RUNTIME_DIR/ouroboros, else /tmp/ouroboros-UID
  --clock-slack MS     by how many milliseconds another node's clock may be
                       ahead, 1 to 20000 (default: 100)
  --user USER          started as root, become this user and keep of root's
                       rights only that to send and receive Ethernet frames
  --sandbox            write to no directories but the daemon's own, and start
                       no programs (needs Linux 5.13)
  --version            print the version and stop
  --help               print this and stop

Signals: SIGHUP reads log level, access and demands from the configuration file
anew, SIGUSR1 logs more, SIGUSR2 less; a second SIGTERM or SIGINT ends at once.

The options say more than the configuration file, and the file more than the
defaults. A program that is to use a daemon in another directory than the
default needs OUROBOROS_RUNTIME_DIR.
`

// usageError is bad use of the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

// options lists the words and whether a value follows.
var options = []struct {
	word  string
	value string // what it is; empty = none
}{
	{"--config", "the path of a configuration file"},
	{"--check", ""},
	{"--stdout", ""},
	{"--log-level", "debug, info, warn or error"},
	{"--log-format", "text or json"},
	{"--runtime-dir", "a directory"},
	{"--clock-slack", "milliseconds, 1 to 20000"},
	{"--user", "the name or number of a user"},
	{"--sandbox", ""},
	{"--version", ""},
	{"--help", ""},
}

// ParseOptions understands a command line without the program's name. A value
// may follow its option as a word of its own or after "=". --version and
// --help count from where they stand: what follows is not looked at.
func ParseOptions(args []string) (Options, error) {
	var o Options
	for len(args) > 0 {
		word, value, inline := strings.Cut(args[0], "=")
		args = args[1:]
		if word == "-h" {
			word = "--help"
		}
		wants, known := valueOf(word)
		if !known {
			return o, usageError(unknown(word))
		}
		switch {
		case wants == "" && inline:
			return o, usageError(fmt.Sprintf("%s takes no value", word))
		case wants != "" && !inline:
			if len(args) == 0 {
				return o, usageError(fmt.Sprintf("%s needs a value: %s", word, wants))
			}
			value, args = args[0], args[1:]
		}
		if wants != "" && value == "" {
			return o, usageError(fmt.Sprintf("%s is empty: it needs %s", word, wants))
		}
		switch word {
		case "--config":
			o.Config = value
		case "--check":
			o.Check = true
		case "--stdout":
			o.Stdout = true
		case "--log-level":
			l, ok := config.ParseLevel(value)
			if !ok {
				return o, usageError(fmt.Sprintf("%s cannot be %q: it is %s", word, value, wants))
			}
			o.Level = &l
		case "--log-format":
			if value != "text" && value != "json" {
				return o, usageError(fmt.Sprintf("%s cannot be %q: it is %s", word, value, wants))
			}
			o.Format = value
		case "--runtime-dir":
			o.RuntimeDir = value
		case "--clock-slack":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > 20000 {
				return o, usageError(fmt.Sprintf("%s cannot be %q: it is %s", word, value, wants))
			}
			o.ClockSlack = n
		case "--user":
			o.User = value
		case "--sandbox":
			o.Sandbox = true
		case "--version":
			o.Version = true
			return o, nil
		case "--help":
			o.Help = true
			return o, nil
		}
	}
	if o.Check && o.Config == "" {
		return o, usageError("--check needs --config FILE")
	}
	return o, nil
}

func valueOf(word string) (value string, known bool) {
	for _, k := range options {
		if k.word == word {
			return k.value, true
		}
	}
	return "", false
}

func unknown(word string) string {
	words := make([]string, len(options))
	for i, k := range options {
		words[i] = k.word
	}
	text := fmt.Sprintf("%q is unknown", word)
	if hint := config.Suggest(word, words); hint != "" {
		text += "; " + hint
	}
	return text
}
