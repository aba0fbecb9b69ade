package args

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// sample is a command line with an option of each kind.
type sample struct {
	listen bool
	name   string
	count  int64
	every  time.Duration
}

func (v *sample) set() *Set {
	s := New("sample", "Shows how options are read.")
	s.Flag(&v.listen, "-l", "--listen", "Serve")
	s.Group("Client")
	s.String(&v.name, "-n", "--server-name", "NAME", "Name of the server")
	s.Alias("--server_name")
	s.Int(&v.count, "-c", "--count", "N", "How many")
	s.Func(func(w string) (err error) { v.every, err = ParseDuration(w, time.Millisecond); return err },
		"-i", "--interval", "TIME", "How often,\nin milliseconds or with a unit")
	return s
}

func TestOptionsAreRead(t *testing.T) {
	for _, tc := range []struct {
		line string
		want sample
	}{
		{"", sample{}},
		{"-l", sample{listen: true}},
		{"--listen", sample{listen: true}},
		{"-n a -c 3", sample{name: "a", count: 3}},
		{"--server-name a --count 3", sample{name: "a", count: 3}},
		{"--server_name a", sample{name: "a"}},
		{"--server-name=a=b --count=3", sample{name: "a=b", count: 3}},
		{"-n -l", sample{name: "-l"}},
		{"-n --help -l", sample{name: "--help", listen: true}},
		{"-n --version", sample{name: "--version"}},
		{"-c 1 -c 2", sample{count: 2}},
		{"-i 20", sample{every: 20 * time.Millisecond}},
		{"-i 2s", sample{every: 2 * time.Second}},
	} {
		t.Run(tc.line, func(t *testing.T) {
			var got sample
			if err := got.set().Parse(strings.Fields(tc.line)); err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestMistakesNameTheWord(t *testing.T) {
	for _, tc := range []struct{ line, word string }{
		{"--nonsense", "Unknown option: --nonsense."},
		{"-x", "Unknown option: -x."},
		{"-l stray", `"stray"`},
		{"-", `"-"`},
		{"-n", "-n"},
		{"--count", "--count"},
		{"-c three", `"three"`},
		{"-c 99999999999999999999", `"99999999999999999999"`},
		{"-i 5y", "Unknown time unit: y."},
		{"-i s", `"s"`},
		{"-i -5s", `"-5s"`},
		{"--listen=yes", `"--listen=yes"`},
	} {
		t.Run(tc.line, func(t *testing.T) {
			err := new(sample).set().Parse(strings.Fields(tc.line))
			var usage *UsageError
			if !errors.As(err, &usage) {
				t.Fatalf("got %v, want a UsageError", err)
			}
			if !strings.Contains(err.Error(), tc.word) {
				t.Errorf("%q does not name %s", err, tc.word)
			}
		})
	}
}

func TestAnEmptyWordIsNoOption(t *testing.T) {
	if err := new(sample).set().Parse([]string{""}); err == nil {
		t.Fatal("accepted")
	}
}

func TestHelpAndVersionAreAskedFor(t *testing.T) {
	for word, want := range map[string]error{"--help": ErrHelp, "-h": ErrHelp, "--version": ErrVersion} {
		if err := new(sample).set().Parse([]string{"-l", word, "--nonsense"}); err != want {
			t.Errorf("%s: got %v", word, err)
		}
	}
}

func TestTheHelpTextShowsEveryOption(t *testing.T) {
	var b strings.Builder
	new(sample).set().Usage(&b)
	want := `Usage: sample [OPTION]...

Shows how options are read.

  -l, --listen               Serve

Client:
  -n, --server-name NAME     Name of the server
  -c, --count N              How many
  -i, --interval TIME        How often,
                             in milliseconds or with a unit

      --version              Print the version and exit
  -h, --help                 Print this text and exit
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestDurations(t *testing.T) {
	for word, want := range map[string]time.Duration{
		"0": 0, "1": time.Millisecond, "250ms": 250 * time.Millisecond, "3s": 3 * time.Second,
		"2m": 2 * time.Minute, "1h": time.Hour, "1d": 24 * time.Hour,
	} {
		if got, err := ParseDuration(word, time.Millisecond); err != nil || got != want {
			t.Errorf("%s: got %v, %v", word, got, err)
		}
	}
	if got, err := ParseDuration("7", time.Second); err != nil || got != 7*time.Second {
		t.Errorf("7 of seconds: got %v, %v", got, err)
	}
	for _, word := range []string{"", "ms", "1x", "1 s", "1ss", "-1", "1.5s", "9999999999999d", "1-2"} {
		if got, err := ParseDuration(word, time.Millisecond); err == nil {
			t.Errorf("%q: got %v", word, got)
		}
	}
}

func TestRates(t *testing.T) {
	for _, tc := range []struct {
		word  string
		plain int64
		want  int64
	}{
		{"5", 1, 5}, {"5", 1000, 5000}, {"5k", 1, 5000}, {"5M", 1000, 5e6}, {"2G", 1, 2e9}, {"-3", 1, -3}, {"0", 1, 0},
	} {
		if got, err := ParseRate(tc.word, tc.plain); err != nil || got != tc.want {
			t.Errorf("%s: got %d, %v", tc.word, got, err)
		}
	}
	for _, word := range []string{"", "k", "5T", "5kk", "9223372036854775807k", "99999999999999999999"} {
		if got, err := ParseRate(word, 1); err == nil {
			t.Errorf("%q: got %d", word, got)
		}
	}
	if _, err := ParseRate("5T", 1); err.Error() != "Unknown rate unit: T." {
		t.Errorf("got %q", err)
	}
}

func FuzzQuantities(f *testing.F) {
	for _, word := range []string{"", "0", "1000", "5s", "-7d", "+3h", "9223372036854775807d", "4G"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if d, err := ParseDuration(word, time.Millisecond); err == nil && d < 0 {
			t.Errorf("%q: a negative time %v", word, d)
		}
		if r, err := ParseRate(word, 1000); err == nil && r == math.MinInt64 {
			t.Errorf("%q: overflow", word)
		}
	})
}
