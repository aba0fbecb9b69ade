"""The numbers and layouts in the package are those of the C headers, and the
Python ABI in _pyabi.h is that of Python.h. Skipped without what they need."""

import ctypes
import os
import pathlib
import shutil
import subprocess
import sysconfig
import tempfile
import unittest

from ouroboros import _abi, _errors, _layers, dev, event, irm

SOURCE = pathlib.Path(os.environ.get("OUROBOROS_PYTHON", str(pathlib.Path(__file__).parent.parent)))
HEADERS = SOURCE.parent / "include"
CC = shutil.which("cc") or shutil.which("gcc")


def compiled(program: str, *options: str) -> str:
    """Output of a C program."""
    with tempfile.TemporaryDirectory() as d:
        c = pathlib.Path(d, "a.c")
        c.write_text(program)
        subprocess.run([CC, "-o", f"{d}/a", str(c), *options], check=True)
        return subprocess.run([f"{d}/a"], check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout


@unittest.skipUnless(CC and HEADERS.is_dir(), "no C compiler, or no headers of the library")
class Headers(unittest.TestCase):
    def values(self, names):
        lines = "".join(f'printf("%lld\\n", (long long) ({n}));\n' for n in names)
        includes = "".join(f"#include <ouroboros/{h.name}>\n" for h in sorted((HEADERS / "ouroboros").glob("*.h")))
        out = compiled(f"#define _GNU_SOURCE\n#include <stdio.h>\n#include <stddef.h>\n#include <sys/types.h>\n"
                       f"{includes}int main(void) {{ {lines} return 0; }}", f"-I{HEADERS}")
        return [int(v) for v in out.split()]

    def check(self, pairs):
        """pairs: of what C calls it, and our value."""
        names, ours = zip(*pairs)
        for name, c, value in zip(names, self.values(names), ours):
            with self.subTest(name=name):
                self.assertEqual(c, int(value))

    def test_enums(self):
        pairs = [(f"IPCP_{t.name}", t) for t in irm.IpcpType]
        pairs += [("ADDR_AUTH_FLAT_RANDOM", irm.AddressAuthPolicy.FLAT_RANDOM)]
        pairs += [(f"LS_{p.name}", p) for p in irm.LinkStatePolicy]
        pairs += [("ROUTING_LINK_STATE", irm.RoutingPolicy.LINK_STATE)]
        pairs += [(f"CA_{p.name}", p) for p in irm.CongestionAvoidPolicy]
        pairs += [("DIR_DHT", irm.DirectoryPolicy.DHT)]
        pairs += [(f"DIR_HASH_{a.name}", a) for a in irm.DirectoryHashAlgo]
        pairs += [("LB_RR", irm.LoadBalancePolicy.ROUND_ROBIN), ("LB_SPILL", irm.LoadBalancePolicy.SPILL)]
        pairs += [("BIND_AUTO", irm.BIND_AUTO)]
        pairs += [(f"FLOW_{n}", event.FEventType[f"Flow{p}"]) for n, p in (
            ("PKT", "Pkt"), ("DOWN", "Down"), ("UP", "Up"), ("ALLOC", "Alloc"),
            ("DEALLOC", "Dealloc"), ("PEER", "Peer"))]
        self.check(pairs)

    def test_flags_and_commands(self):
        p = dev.FlowProperties
        self.check([
            ("FLOWFRDONLY", p.ReadOnly), ("FLOWFWRONLY", p.WriteOnly), ("FLOWFRDWR", p.ReadWrite),
            ("FLOWFDOWN", p.Down), ("FLOWFRNOBLOCK", p.NonBlockingRead),
            ("FLOWFWNOBLOCK", p.NonBlockingWrite), ("FLOWFRNOPART", p.NoPartialRead),
            ("FLOWFWNOPART", p.NoPartialWrite),
            ("FRCTFRTX", dev.FRCT_RETRANSMIT), ("FRCTFRESCNTL", dev.FRCT_RESCNTL),
            ("FRCTFLINGER", dev.FRCT_LINGER),
            *((n, getattr(_abi, n)) for n in (
                "FLOWSRCVTIMEO", "FLOWGRCVTIMEO", "FLOWSSNDTIMEO", "FLOWGSNDTIMEO", "FLOWGQOSSPEC",
                "FLOWSFLAGS", "FLOWGFLAGS", "FLOWGRXQLEN", "FLOWGTXQLEN", "FRCTSFLAGS", "FRCTGFLAGS")),
            ("DEFAULT_PEER_TIMEOUT", dev.DEFAULT_PEER_TIMEOUT),
        ])

    def test_errors(self):
        self.check([(n, getattr(_errors, n)) for n in (
            "ENOTALLOC", "EIPCPTYPE", "EIRMD", "EIPCP", "EIPCPSTATE", "EFLOWDOWN", "EFLOWPEER", "ENAME",
            "ECRYPT", "EAUTH")])

    def test_layouts(self):
        pairs = []
        for c, ours in (("struct timespec", _abi.Timespec), ("qosspec_t", _abi.QoS),
                        ("struct ipcp_list_info", _abi.IpcpListInfo),
                        ("struct name_sec_paths", _abi.NameSecPaths), ("struct name_info", _abi.NameInfo),
                        ("struct ls_config", _abi.LsConfig), ("struct dt_config", _abi.DtConfig),
                        ("struct uni_config", _abi.UnicastConfig), ("struct eth_config", _abi.EthConfig),
                        ("struct udp4_config", _abi.Udp4Config), ("struct udp6_config", _abi.Udp6Config),
                        ("struct layer_info", _abi.LayerInfo)):
            pairs.append((f"sizeof({c})", ctypes.sizeof(ours)))
            pairs += [(f"offsetof({c}, {f[0]})", getattr(ours, f[0]).offset) for f in ours._fields_]
        conf = _abi.IpcpConfig
        pairs += [("sizeof(struct ipcp_config)", ctypes.sizeof(conf)),
                  ("offsetof(struct ipcp_config, type)", conf.type.offset),
                  ("offsetof(struct ipcp_config, unicast)", conf.of.offset),
                  ("sizeof(struct routing_config)", ctypes.sizeof(_abi.RoutingConfig)),
                  ("sizeof(struct dir_config)", ctypes.sizeof(_abi.DirConfig)),
                  ("sizeof(struct dir_dht_config)", ctypes.sizeof(_abi.DhtConfig)),
                  ("offsetof(struct uni_config, dir.dht.params.k)",
                   _abi.UnicastConfig.dir.offset + _abi.DirConfig.dht.offset + _abi.DhtConfig.k.offset)]
        self.check(pairs)

    def test_names(self):
        text = "".join(h.read_text() for h in (HEADERS / "ouroboros").glob("*.h"))
        self.assertIn(f'"{irm.DT_COMP}"', text)
        self.assertIn(f'"{irm.MGMT_COMP}"', text)
        self.assertEqual(_layers.IpcpType.UDP6, 6)


PYTHON_H = pathlib.Path(sysconfig.get_path("include"), "Python.h")


@unittest.skipUnless(CC and PYTHON_H.exists() and (SOURCE / "ouroboros" / "_native.c").exists(),
                     "no C compiler, or no Python.h; on Debian it is in python3-dev")
class StableABI(unittest.TestCase):
    def test_it_is_that_of_python(self):
        # Two declarations of one function that differ are an error.
        with tempfile.TemporaryDirectory() as d:
            subprocess.run([CC, "-Wall", "-Werror", "-Wno-redundant-decls", "-DWITH_PYTHON_H",
                            f"-I{PYTHON_H.parent}", "-shared", "-fPIC", "-o", f"{d}/_native.so",
                            str(SOURCE / "ouroboros" / "_native.c")], check=True)

    def test_constants_and_layouts(self):
        program = """
#include <stdio.h>
#include <stddef.h>
%s
int main(void) {
	printf("%%zu %%zu %%zu %%zu %%zu %%d %%d %%d\\n", sizeof(PyMethodDef), sizeof(PyModuleDef),
		offsetof(PyModuleDef, m_methods), offsetof(PyModuleDef, m_size), offsetof(PyMethodDef, ml_flags),
		METH_VARARGS, METH_NOARGS, PYTHON_ABI_VERSION);
	return 0;
}"""
        ours = compiled(program % f'#include "{SOURCE}/ouroboros/_pyabi.h"')
        theirs = compiled(program % "#define Py_LIMITED_API 0x03080000\n#include <Python.h>", f"-I{PYTHON_H.parent}")
        self.assertEqual(ours, theirs)


if __name__ == "__main__":
    unittest.main()
