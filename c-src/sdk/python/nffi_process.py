"""The program of a process in which an nginx worker runs a module; only the worker starts it."""

import sys

if sys.version_info < (3, 9):
    sys.exit(f"nffi requires Python 3.9 or later, {sys.executable} is {sys.version.split()[0]}")

try:
    from nffi.process import main
except ImportError as error:
    sys.exit(f"{sys.executable} cannot import nffi ({error}): is it CPython with its global lock?")

# multiprocessing with spawn or forkserver imports this file in its processes, by another name
if __name__ == "__main__":
    main()
