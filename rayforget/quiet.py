"""The environment of this process and its children -> one in which no library phones home."""

import logging
import os


def be_quiet() -> None:
    """Turns off telemetry unless the user asks for it, hides libraries' progress bars, keeps ranks to their threads.

    Call it before a library that reads these variables is imported.
    """
    for variable, value in {
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }.items():
        os.environ.setdefault(variable, value)
    # at peft's import, of a kernel that nothing here uses
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
