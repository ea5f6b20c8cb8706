"""Runs Python examples of documents one after the other, in one process, as programs of their own.

Reads a path a line; answers each with a line of JSON: what it printed, and how it failed if it did.
"""

import contextlib
import io
import json
import runpy
import sys
import traceback

for line in sys.stdin:
    printed, failure = io.StringIO(), None
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(line.strip(), run_name="__main__")
    except BaseException:  # noqa: BLE001 - whatever it is, the reader has to see it
        failure = traceback.format_exc()
    told = {"printed": printed.getvalue(), "failure": failure}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
