"""Checks the types of the views' ES modules with TypeScript's compiler, which reads JSDoc.

Standard library only. The compiler is installed once, with npm, under `build/js`; where there is
no node, this says so and checks nothing.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = "5.9.3"
HOME = ROOT / "build" / "js" / VERSION
COMPILER = HOME / "node_modules" / "typescript" / "bin" / "tsc"


def install(npm: str) -> None:
    """Install the pinned compiler, unless it is there already."""
    if COMPILER.exists():
        return
    print(f"Installing TypeScript {VERSION} (once)", flush=True)
    HOME.mkdir(parents=True, exist_ok=True)
    options = ["--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--silent"]
    subprocess.run(
        [npm, "install", *options, "--prefix", str(HOME), f"typescript@{VERSION}"], check=True
    )


def main() -> int:
    """Check all modules; returns the compiler's exit status."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        print("The types of the ES modules were not checked: there is no node and npm here.")
        return 0
    install(npm)
    done = subprocess.run([node, str(COMPILER), "-p", str(ROOT / "jsconfig.json")], check=False)
    if done.returncode == 0:
        print("Success: no issues found in the ES modules")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
