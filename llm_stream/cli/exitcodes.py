"""What the commands' exit codes say; docs/cli.md has the same table."""

from typing import Final

REFUSED: Final = 1
"""The service, or the command itself, refuses: a field, a key, a limit, a configuration."""

USAGE: Final = 2
"""The command line makes no sense; click's own code."""

INSUFFICIENT: Final = 3
"""The verdict is that the stage is insufficient."""

UNCERTAIN: Final = 4
"""The verdict is that it cannot be told."""

FAILED: Final = 5
"""The run failed, was cancelled by somebody else, or some of a batch failed."""

UNREACHABLE: Final = 6
"""No service answers, or what answers is none."""

INTERRUPTED: Final = 130
"""Ctrl-C; other signals are likewise 128 and their number."""

PIPE_CLOSED: Final = 141
"""Who read the output has left (`| head`)."""

EPILOG: Final = """\
Exit codes: 0 done; 1 refused; 2 wrong usage; 5 the run failed; 6 no service answers; 130 Ctrl-C,
which cancels the run; 141 the output's reader has left, which does so too."""
"""Below the help of every command that starts runs."""

EVALUATE_EPILOG: Final = EPILOG.replace("0 done", "0 sufficient; 3 insufficient; 4 uncertain")
