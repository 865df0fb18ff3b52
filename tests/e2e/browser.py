"""The Chromium of the end-to-end tests: finds it and, on Debian as root, installs it.

Standard library only: `make browser` runs this before there is an environment.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Without a font Chromium draws boxes, and screenshots prove nothing.
DEBIAN_PACKAGES = ("chromium", "fonts-dejavu-core")
REMEDY = (
    "The end-to-end tests need Chromium or Chrome, and none was found.\n"
    "Install one (Debian, Ubuntu: apt install chromium) or set CHROME to its path."
)


def find_browser() -> Path | None:
    """Return the browser named by $CHROME, else the first known one on PATH, else None."""
    named = os.environ.get("CHROME")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


def install_browser() -> None:
    """Install Debian's Chromium with apt.

    Raises:
        OSError: There is no apt here, or no right to use it.
        subprocess.CalledProcessError: apt could not do it; it has said why.
    """
    apt = shutil.which("apt-get")
    sudo = shutil.which("sudo")
    if apt is None:
        raise OSError("there is no apt-get here")
    if os.geteuid() == 0:
        prefix = []
    elif (
        sudo
        and subprocess.run([sudo, "-n", "true"], check=False, capture_output=True).returncode == 0
    ):
        prefix = [sudo, "-n"]
    else:
        raise OSError("installing needs root, or sudo without a password")
    apt_get = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", apt, "-qq"]
    subprocess.run([*apt_get, "update"], check=True)
    install = [*apt_get, "install", "--yes", "--no-install-recommends", *DEBIAN_PACKAGES]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Print where the browser is; with --install, first install one if there is none."""
    parser = argparse.ArgumentParser(description="Find the browser of the end-to-end tests.")
    parser.add_argument("--install", action="store_true", help="install Debian's if there is none")
    install = parser.parse_args().install
    if os.environ.get("CHROME") and find_browser() is None:
        sys.exit(f"CHROME names {os.environ['CHROME']}, and there is no such program")
    if install and find_browser() is None:
        print("No Chromium found: installing Debian's", flush=True)
        try:
            install_browser()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"Could not install it: {error}", file=sys.stderr)
    browser = find_browser()
    if browser is None:
        sys.exit(REMEDY)
    print(f"Browser: {browser}")


if __name__ == "__main__":
    main()
