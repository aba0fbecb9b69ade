"""The package is built and installed in all the manners that the page says,
in virtual environments, without an index. That plain pip does it in a fresh
one is what the driver of these tests begins with.

OUROBOROS_PYTHON names the directory with setup.py, else the tests lie in it;
without Go or the sources they are skipped."""

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile

from ouroboros._lib import lib

SOURCE = pathlib.Path(os.environ.get("OUROBOROS_PYTHON", str(pathlib.Path(__file__).parent.parent)))

CHECK = """
import os, sys
sys.path = [p for p in sys.path if os.path.abspath(p or '.') != os.getcwd()]
import ouroboros, ouroboros.dev, ouroboros.aio, ouroboros.cli
from ouroboros._lib import lib
print(os.path.dirname(ouroboros.__file__), lib._name)
"""


def _has_pip() -> bool:
    """Whether this Python has a pip, 22.3 or newer, that installs for others."""
    r = subprocess.run([sys.executable, "-m", "pip", "--python", sys.executable, "--version"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return r.returncode == 0


@unittest.skipUnless(shutil.which("go") and (SOURCE / "setup.py").exists() and (SOURCE.parent / "capi").is_dir(),
                     "Go or the sources of the library are not here")
@unittest.skipUnless(_has_pip(), "this Python has no pip from 22.3 on")
class Install(unittest.TestCase):
    def setUp(self):
        d = tempfile.TemporaryDirectory()
        self.addCleanup(d.cleanup)
        self.dir = pathlib.Path(d.name)

    def venv(self):
        """A fresh environment, without pip: that of this one does it."""
        path = self.dir / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
        return path / "bin" / "python"

    def pip(self, python, *args, **kw):
        return self.run_ok(sys.executable, "-m", "pip", "--python", python, *args, **kw)

    def run_ok(self, *command, cwd=None, **env):
        base = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "OUROBOROS_LIBRARY", "PYTHONHOME")}
        r = subprocess.run([str(c) for c in command], cwd=str(cwd or self.dir), universal_newlines=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env=dict(base, PIP_NO_INDEX="1", PIP_DISABLE_PIP_VERSION_CHECK="1", **env))
        self.assertEqual(r.returncode, 0, r.stdout)
        return r.stdout

    @property
    def ready(self):
        """For what has been shown to be built: the library is the same."""
        return {"OUROBOROS_LIBRARY": lib._name} if os.path.isabs(lib._name) else {}

    def works(self, python, below=None, **env):
        package, library = self.run_ok(python, "-c", CHECK, **env).split()
        below = pathlib.Path(below or python.parent.parent).resolve()
        self.assertTrue(str(pathlib.Path(package).resolve()).startswith(str(below)), package)
        return pathlib.Path(library)

    def test_pip(self):
        python = self.venv()
        self.pip(python, "install", "--no-build-isolation", "--no-index", ".", cwd=SOURCE, **self.ready)
        self.assertTrue(self.works(python).is_file())
        self.assertIn("PyOuroboros", self.pip(python, "list"))
        self.assertEqual(self.run_ok(python, "-c", "from importlib.metadata import version; print(version('PyOuroboros'))"),
                         self.run_ok(python, "-c", "import ouroboros; print(ouroboros.__version__)"))
        self.pip(python, "uninstall", "-y", "PyOuroboros")
        self.run_ok(python, "-c", "import importlib.util as u; assert u.find_spec('ouroboros') is None")

    def test_setup_py(self):
        python = self.venv()
        self.run_ok(python, SOURCE / "setup.py", "install", **self.ready)
        self.works(python)
        self.run_ok(python, SOURCE / "setup.py", "install", **self.ready)  # over itself
        self.works(python)
        prefix = self.dir / "prefix"
        said = self.run_ok(python, SOURCE / "setup.py", "install", "--prefix", str(prefix), **self.ready)
        place = said.strip().split()[-1]
        self.works(python, below=prefix, PYTHONPATH=place)

    def test_a_wheel_and_the_sources(self):
        # A copy, because it writes there.
        copy = self.dir / "copy"
        shutil.copytree(str(SOURCE), str(copy), ignore=shutil.ignore_patterns("*.so", "build", "dist", "__pycache__"))
        self.run_ok(sys.executable, "setup.py", "sdist", cwd=copy, OUROBOROS_SOURCE=str(SOURCE.parent))
        sdist, = (copy / "dist").glob("*.tar.gz")
        with tarfile.open(str(sdist)) as tar:
            names = tar.getnames()
        self.assertTrue(any(n.endswith("/src/capi/main.go") for n in names))
        self.assertFalse(any(n.endswith("_test.go") for n in names))
        # Somewhere else, where only they are.
        python = self.venv()
        self.pip(python, "wheel", "--no-deps", "-w", self.dir, sdist)
        wheel, = self.dir.glob("*.whl")
        with zipfile.ZipFile(str(wheel)) as z:
            self.assertIn("ouroboros/libouroboros.so", z.namelist())
            self.assertIn("ouroboros/_native.abi3.so", z.namelist())
            self.assertIn("ouroboros/py.typed", z.namelist())
        self.pip(python, "install", wheel)
        self.works(python)

    def test_in_place(self):
        copy = self.dir / "copy"
        shutil.copytree(str(SOURCE), str(copy), ignore=shutil.ignore_patterns("*.so", "build", "dist", "__pycache__"))
        python = self.venv()
        self.pip(python, "install", "-e", copy, **self.ready)
        self.works(python, below=copy)

    def test_what_is_missing_is_said(self):
        copy = self.dir / "copy"
        shutil.copytree(str(SOURCE), str(copy), ignore=shutil.ignore_patterns("*.so", "build", "dist", "__pycache__"))
        r = subprocess.run([sys.executable, str(copy / "setup.py"), "build"], universal_newlines=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env={k: v for k, v in os.environ.items() if k not in ("OUROBOROS_SOURCE", "OUROBOROS_LIBRARY", "LD_LIBRARY_PATH")})
        if r.returncode == 0:
            self.skipTest("the library is installed on this machine")
        self.assertIn("set OUROBOROS_SOURCE", r.stdout)
        self.assertNotIn("Traceback", r.stdout)
        r = subprocess.run([sys.executable, "-c", "import ouroboros.dev"], cwd=str(copy), universal_newlines=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "OUROBOROS_LIBRARY")})
        self.assertIn("ImportError: cannot load the library of Ouroboros", r.stdout)
        self.assertIn("install the package with pip", r.stdout)


if __name__ == "__main__":
    unittest.main()
