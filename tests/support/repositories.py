"""Git repositories that tests make."""

import shutil
import subprocess

WHO = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]


def git(folder, *arguments):
    """Run git in a folder, as somebody."""
    subprocess.run([shutil.which("git"), "-C", str(folder), *WHO, *arguments], check=True, capture_output=True)
