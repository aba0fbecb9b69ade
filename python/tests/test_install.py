"""The package is built and installed in all the manners that the page says,
in virtual environments, without an index.

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

SOURCE = pathlib.Path(os.environ.get("OUROBOROS_PYTHON", str(pathlib.Path(__file__).parent.parent)))

CHECK = """
import os, sys
sys.path = [p for p in sys.path if os.path.abspath(p or '.') != os.getcwd()]
import ouroboros, ouroboros.dev, ouroboros.aio, ouroboros.cli
from ouroboros._lib import lib
print(os.path.dirname(ouroboros.__file__), lib._name)
"""


def _has_pip() -> bool:
    return subprocess.run([sys.executable, "-c", "import venv, ensurepip"], stderr=subprocess.DEVNULL).returncode == 0


@unittest.skipUnless(shutil.which("go") and (SOURCE / "setup.py").exists() and (SOURCE.parent / "capi").is_dir(),
                     "Go or the sources of the library are not here")
@unittest.skipUnless(_has_pip(), "this Python makes no virtual environments; on Debian install python3-venv")
class Install(unittest.TestCase):
    def setUp(self):
        d = tempfile.TemporaryDirectory()
        self.addCleanup(d.cleanup)
        self.dir = pathlib.Path(d.name)

    def venv(self, *options):
        path = self.dir / "venv"
        subprocess.run([sys.executable, "-m", "venv", *options, str(path)], check=True)
        return path / "bin" / "python"

    def run_ok(self, *command, cwd=None, **env):
        base = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "OUROBOROS_LIBRARY", "PYTHONHOME")}
        r = subprocess.run([str(c) for c in command], cwd=str(cwd or self.dir), universal_newlines=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env=dict(base, PIP_NO_INDEX="1", PIP_DISABLE_PIP_VERSION_CHECK="1", **env))
        self.assertEqual(r.returncode, 0, r.stdout)
        return r.stdout

    def works(self, python, below=None, **env):
        package, library = self.run_ok(python, "-c", CHECK, **env).split()
        below = pathlib.Path(below or python.parent.parent).resolve()
        self.assertTrue(str(pathlib.Path(package).resolve()).startswith(str(below)), package)
        return pathlib.Path(library)

    def test_pip(self):
        python = self.venv()
        self.run_ok(python, "-m", "pip", "install", ".", cwd=SOURCE)
        self.assertTrue(self.works(python).is_file())
        self.assertIn("PyOuroboros", self.run_ok(python, "-m", "pip", "list"))
        self.assertEqual(self.run_ok(python, "-c", "from importlib.metadata import version; print(version('PyOuroboros'))"),
                         self.run_ok(python, "-c", "import ouroboros; print(ouroboros.__version__)"))
        self.run_ok(python, "-m", "pip", "uninstall", "-y", "PyOuroboros")
        self.run_ok(python, "-c", "import importlib.util as u; assert u.find_spec('ouroboros') is None")

    def test_pip_without_isolation(self):
        python = self.venv("--system-site-packages")
        self.run_ok(python, "-m", "pip", "install", "--no-build-isolation", "--no-index", ".", cwd=SOURCE)
        self.works(python)

    def test_setup_py(self):
        python = self.venv()
        self.run_ok(python, SOURCE / "setup.py", "install")
        self.works(python)
        self.run_ok(python, SOURCE / "setup.py", "install")  # over itself
        self.works(python)
        prefix = self.dir / "prefix"
        said = self.run_ok(python, SOURCE / "setup.py", "install", "--prefix", str(prefix))
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
        self.run_ok(python, "-m", "pip", "wheel", "--no-deps", "-w", self.dir, sdist)
        wheel, = self.dir.glob("*.whl")
        with zipfile.ZipFile(str(wheel)) as z:
            self.assertIn("ouroboros/libouroboros.so", z.namelist())
            self.assertIn("ouroboros/_native.abi3.so", z.namelist())
            self.assertIn("ouroboros/py.typed", z.namelist())
        self.run_ok(python, "-m", "pip", "install", wheel)
        self.works(python)

    def test_in_place(self):
        copy = self.dir / "copy"
        shutil.copytree(str(SOURCE), str(copy), ignore=shutil.ignore_patterns("*.so", "build", "dist", "__pycache__"))
        python = self.venv()
        self.run_ok(python, "-m", "pip", "install", "-e", copy, OUROBOROS_SOURCE=str(SOURCE.parent))
        self.works(python, below=copy)

    def test_what_is_missing_is_said(self):
        copy = self.dir / "copy"
        shutil.copytree(str(SOURCE), str(copy), ignore=shutil.ignore_patterns("*.so", "build", "dist", "__pycache__"))
        r = subprocess.run([sys.executable, str(copy / "setup.py"), "build"], universal_newlines=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env={k: v for k, v in os.environ.items() if k not in ("OUROBOROS_SOURCE", "LD_LIBRARY_PATH")})
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
