"""`python -m llm_stream` is `llm-stream`."""

from llm_stream.cli import main

if __name__ == "__main__":
    main(prog_name="llm-stream")
