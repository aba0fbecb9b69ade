package ovpn

import (
	"strings"
	"testing"
)

func TestAddressesComeWithTheirMaskInOneWayOrTheOther(t *testing.T) {
	for words, want := range map[string]string{
		"-i 10.0.0.1 -m 255.255.255.0":     "10.0.0.1/24",
		"--ip 10.0.0.1 --mask 255.255.0.0": "10.0.0.1/16",
		"-i 10.0.0.1 -m 0.0.0.0":           "10.0.0.1/0",
		"-i 10.0.0.1 -m 255.255.255.255":   "10.0.0.1/32",
		"-i 10.0.0.1/30":                   "10.0.0.1/30",
		"-i fd00::1/64":                    "fd00::1/64",
		"-d ovpn0":                         "invalid Prefix",
		"-d ovpn0 -i 10.0.0.1/24":          "10.0.0.1/24",

		"":                                  "Please specify an IP address",
		"-m 255.255.255.0":                  "Please specify an IP address.",
		"-i 10.0.0.1":                       "Please specify a subnetmask.",
		"-i zz -m 255.255.255.0":            "Invalid IP address: zz.",
		"-i 10.0.0.1 -m 255.0.255.0":        "Invalid subnet mask: 255.0.255.0.",
		"-i 10.0.0.1 -m zz":                 "Invalid subnet mask: zz.",
		"-i 10.0.0.1/24 -m 255.255.255.0":   "The mask is there twice",
		"-i fe80::1%eth0 -m 255.255.255.0":  "Invalid IP address",
		"-i fd00::1 -m 255.255.255.0":       "Invalid subnet mask",
		"-i 10.0.0.1/24 --mtu 67":           "Invalid MTU: 67.",
		"-i 10.0.0.1/24 --mtu 65536":        "Invalid MTU: 65536.",
		"-i 10.0.0.1/24 -q gold":            `Unknown QoS: "gold".`,
		"-i 10.0.0.1/24 foo":                "foo",
		"-i 10.0.0.1 -m 255.255.255.0 --no": "--no",
		"-i":                                "-i",
	} {
		var o Options
		err := o.commandLine().Parse(strings.Fields(words))
		if err == nil {
			err = o.finish()
		}
		got := o.Addr.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", words, got, want)
		}
	}
}
