package daemon

import (
	"log/slog"
	"strings"
	"testing"
)

func level(l slog.Level) *slog.Level { return &l }

func TestOptionsAreUnderstood(t *testing.T) {
	for _, c := range []struct {
		line string
		want Options
	}{
		{"", Options{}},
		{"--stdout", Options{Stdout: true}},
		{"--config /etc/x.toml --stdout", Options{Stdout: true, Config: "/etc/x.toml"}},
		{"--config=/etc/x.toml --check", Options{Config: "/etc/x.toml", Check: true}},
		{"--log-level debug --log-format json", Options{Level: level(slog.LevelDebug), Format: "json"}},
		{"--log-level=warning", Options{Level: level(slog.LevelWarn)}},
		{"--runtime-dir /run/x --config a --config b", Options{RuntimeDir: "/run/x", Config: "b"}},
		{"--clock-slack 250", Options{ClockSlack: 250}},
		{"--version --nonsense", Options{Version: true}},
		{"--stdout --help --nonsense", Options{Stdout: true, Help: true}},
		{"-h", Options{Help: true}},
	} {
		got, err := ParseOptions(strings.Fields(c.line))
		if err != nil {
			t.Errorf("%q: %v", c.line, err)
			continue
		}
		if (got.Level == nil) != (c.want.Level == nil) || got.Level != nil && *got.Level != *c.want.Level {
			t.Errorf("%q: level %v", c.line, got.Level)
		}
		got.Level, c.want.Level = nil, nil
		if got != c.want {
			t.Errorf("%q gives %+v", c.line, got)
		}
	}
}

func TestBadUseSaysWhatIsWrong(t *testing.T) {
	for line, want := range map[string]string{
		"--confg x":           `"--confg" is unknown; did you mean "--config"?`,
		"foo":                 `"foo" is unknown`,
		"--nonsense --help":   `"--nonsense" is unknown`,
		"--config":            "--config needs a value: the path of a configuration file",
		"--config=":           "--config is empty: it needs the path of a configuration file",
		"--stdout=yes":        "--stdout takes no value",
		"--log-level loud":    `--log-level cannot be "loud": it is debug, info, warn or error`,
		"--log-format xml":    `--log-format cannot be "xml": it is text or json`,
		"--clock-slack 0":     `--clock-slack cannot be "0": it is milliseconds, 1 to 20000`,
		"--clock-slack=20001": `--clock-slack cannot be "20001": it is milliseconds, 1 to 20000`,
		"--clock-slack 1s":    `--clock-slack cannot be "1s": it is milliseconds, 1 to 20000`,
		"--check":             "--check needs --config FILE",
		"--runtime-dir":       "--runtime-dir needs a value: a directory",
		"--stdout -x --check": `"-x" is unknown`,
	} {
		if _, err := ParseOptions(strings.Fields(line)); err == nil || err.Error() != want {
			t.Errorf("%q gives %v, want %s", line, err, want)
		}
	}
}

func FuzzOptions(f *testing.F) {
	f.Add("--config x --log-level=debug --stdout")
	f.Add("--version --help")
	f.Fuzz(func(t *testing.T, line string) {
		o, err := ParseOptions(strings.Split(line, " "))
		if err == nil && o.Check && o.Config == "" && !o.Help && !o.Version {
			t.Fatalf("%q checks nothing", line)
		}
	})
}
