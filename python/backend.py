"""Builds the package: the library with Go, the module _native with a C
compiler, and a wheel of both.

It is the build backend of pyproject.toml and needs nothing but Python, Go and
the C compiler that Go needs for this: no other package, no headers of Python.
The wheel is for every CPython from 3.8 on.

The Go sources are those around this directory, or in src/ of a source
distribution, or where OUROBOROS_SOURCE says. OUROBOROS_LIBRARY names a library
that is ready; without it, and without the sources or Go, the wheel goes without
one, if the system has one.
"""

import base64
import csv
import ctypes
import hashlib
import io
import os
import re
import shutil
import subprocess
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Tuple

HERE = Path(__file__).resolve().parent
NAME = "PyOuroboros"
PACKAGE = "ouroboros"
LIBRARY = "libouroboros.so"
NATIVE = "_native.abi3.so"


def version() -> str:
    text = (HERE / PACKAGE / "_version.py").read_text()
    return re.search(r'__version__ = "([^"]+)"', text).group(1)  # type: ignore[union-attr]


def tag() -> str:
    return "cp38-abi3-" + re.sub(r"[-.]", "_", sysconfig.get_platform())


class BuildError(SystemExit):
    """What is missing, and what to do about it."""


def _run(what: str, command: List[str], cwd: Path, env: Optional[Dict[str, str]] = None) -> None:
    try:
        done = subprocess.run(command, cwd=str(cwd), env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True)
    except OSError as e:
        raise BuildError(f"cannot build {what}: {e}") from None
    if done.returncode != 0:
        raise BuildError(f"cannot build {what}: {' '.join(command)} failed:\n{done.stdout}")


def source() -> Optional[Path]:
    """The Go module that the library is built from."""
    for place in (os.environ.get("OUROBOROS_SOURCE"), HERE.parent, HERE / "src"):
        if place and (Path(place) / "capi").is_dir() and (Path(place) / "go.mod").is_file():
            return Path(place).resolve()
    return None


def build_library(to: Path) -> None:
    """Makes the library in a directory, unless the system's is to do."""
    ready = os.environ.get("OUROBOROS_LIBRARY")
    if ready:
        shutil.copy(ready, str(to / LIBRARY))
        return
    tree, go = source(), shutil.which("go")
    if tree and go:
        env = dict(os.environ, CGO_ENABLED="1")
        # The runtime is not to preempt by SIGURG: that one is the program's.
        _run("the library", [go, "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false",
                             "-ldflags", "-s -w -X runtime.godebugDefault=asyncpreemptoff=1",
                             "-o", str(to / LIBRARY), "./capi"], tree, env)
        header = to / LIBRARY.replace(".so", ".h")  # that Go writes beside it
        if header.exists():
            header.unlink()
        return
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        raise BuildError(
            "cannot build the library: " + ("Go is not on PATH; install Go 1.26 or newer" if tree else
                                            "its Go sources are not here; set OUROBOROS_SOURCE to them")
            + f", or install {LIBRARY} before, with: make install") from None


def build_native(to: Path) -> None:
    """Makes the module for the calls that matter in a directory."""
    cc = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if cc is None:
        raise BuildError("cannot build _native: there is no C compiler; install gcc")
    _run("_native", [*cc.split(), "-O2", "-Wall", "-shared", "-fPIC", "-pthread",
                     "-o", str(to / NATIVE), str(HERE / PACKAGE / "_native.c")], HERE)


def build_in_place() -> None:
    """Makes both where the sources are, for running from there."""
    build_library(HERE / PACKAGE)
    build_native(HERE / PACKAGE)


def _metadata() -> Dict[str, str]:
    project = (HERE / "pyproject.toml").read_text()

    def field(name: str) -> str:
        return re.search(rf'^{name} = "([^"]+)"', project, re.M).group(1)  # type: ignore[union-attr]

    words = re.search(r"^keywords = \[(.*?)\]", project, re.M | re.S).group(1)  # type: ignore[union-attr]
    classifiers = re.search(r"^classifiers = \[(.*?)\]", project, re.M | re.S).group(1)  # type: ignore[union-attr]
    lines = [
        "Metadata-Version: 2.1", f"Name: {NAME}", f"Version: {version()}",
        f"Summary: {field('description')}", "License: Apache-2.0",
        "Keywords: " + ",".join(re.findall(r'"([^"]+)"', words)),
        *(f"Classifier: {c}" for c in re.findall(r'"([^"]+)"', classifiers)),
        f"Requires-Python: {field('requires-python')}",
        "Description-Content-Type: text/markdown", "",
        (HERE / "README.md").read_text(),
    ]
    return {
        "METADATA": "\n".join(lines),
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: ouroboros\nRoot-Is-Purelib: false\nTag: {tag()}\n",
        "top_level.txt": f"{PACKAGE}\n",
    }


def _info_dir() -> str:
    return f"{NAME}-{version()}.dist-info"


class _Wheel:
    """A wheel that is being written."""

    def __init__(self, directory: str) -> None:
        self.name = f"{NAME}-{version()}-{tag()}.whl"
        self.zip = zipfile.ZipFile(os.path.join(directory, self.name), "w", zipfile.ZIP_DEFLATED)
        self.record: List[Tuple[str, str, int]] = []

    def add(self, name: str, content: bytes, mode: int = 0o644) -> None:
        entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = (0o100000 | mode) << 16
        self.zip.writestr(entry, content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        self.record.append((name, f"sha256={digest}", len(content)))

    def close(self) -> str:
        for name, text in _metadata().items():
            self.add(f"{_info_dir()}/{name}", text.encode())
        rows = io.StringIO()
        out = csv.writer(rows, lineterminator="\n")
        out.writerows(self.record)
        out.writerow((f"{_info_dir()}/RECORD", "", ""))
        self.zip.writestr(f"{_info_dir()}/RECORD", rows.getvalue())
        self.zip.close()
        return self.name


def _sources() -> Iterable[Path]:
    for path in sorted((HERE / PACKAGE).iterdir()):
        if path.suffix in (".py", ".pyi", ".typed"):
            yield path


def build_wheel(wheel_directory: str, config_settings: object = None,
                metadata_directory: Optional[str] = None) -> str:
    """A wheel; gives its name."""
    with tempfile.TemporaryDirectory(prefix="ouroboros-wheel-") as tmp:
        build_library(Path(tmp))
        build_native(Path(tmp))
        wheel = _Wheel(wheel_directory)
        for path in _sources():
            wheel.add(f"{PACKAGE}/{path.name}", path.read_bytes())
        for path in sorted(Path(tmp).iterdir()):
            wheel.add(f"{PACKAGE}/{path.name}", path.read_bytes(), 0o755)
        return wheel.close()


def build_editable(wheel_directory: str, config_settings: object = None,
                   metadata_directory: Optional[str] = None) -> str:
    """A wheel that points here; what is compiled lies beside the sources."""
    build_in_place()
    wheel = _Wheel(wheel_directory)
    wheel.add(f"{NAME}.pth", f"{HERE}\n".encode())
    return wheel.close()


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: object = None) -> str:
    directory = Path(metadata_directory) / _info_dir()
    directory.mkdir()
    for name, text in _metadata().items():
        (directory / name).write_text(text)
    return directory.name


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def get_requires_for_build_wheel(config_settings: object = None) -> List[str]:
    return []


get_requires_for_build_editable = get_requires_for_build_wheel
get_requires_for_build_sdist = get_requires_for_build_wheel


def _go_files(tree: Path) -> Iterable[Path]:
    """What the library is built from."""
    out = subprocess.run(
        ["go", "list", "-deps", "-f",
         "{{if not .Standard}}{{with .Module}}{{if .Main}}{{$.Dir}}{{end}}{{end}}{{end}}", "./capi"],
        cwd=str(tree), stdout=subprocess.PIPE, check=True, universal_newlines=True).stdout
    for name in ("go.mod", "go.sum", "LICENSE"):
        yield tree / name
    for directory in filter(None, out.splitlines()):
        for path in sorted(Path(directory).iterdir()):
            if path.is_file() and not path.name.endswith("_test.go"):
                yield path
    for path in sorted((tree / "include").rglob("*.h")):
        yield path


def build_sdist(sdist_directory: str, config_settings: object = None) -> str:
    """The sources, with those of the library; gives the name of the file."""
    base = f"{NAME}-{version()}"
    tree = source()
    if tree is None:
        raise BuildError("cannot pack the sources of the library: they are not here; "
                         "set OUROBOROS_SOURCE to them")
    with tarfile.open(os.path.join(sdist_directory, base + ".tar.gz"), "w:gz") as tar:
        def add(path: Path, name: str) -> None:
            tar.add(str(path), f"{base}/{name}", recursive=False)

        for name in ("pyproject.toml", "backend.py", "setup.py", "README.md"):
            add(HERE / name, name)
        for path in sorted((HERE / PACKAGE).iterdir()):
            if path.suffix in (".py", ".pyi", ".typed", ".c", ".h"):
                add(path, f"{PACKAGE}/{path.name}")
        for directory in ("examples", "tests"):
            for path in sorted((HERE / directory).glob("*.py")):
                add(path, f"{directory}/{path.name}")
        for path in _go_files(tree):
            add(path, f"src/{path.relative_to(tree)}")
        info = _metadata()["METADATA"].encode()
        entry = tarfile.TarInfo(f"{base}/PKG-INFO")
        entry.size = len(info)
        tar.addfile(entry, io.BytesIO(info))
    return base + ".tar.gz"
