"""The parts of `gpu.py`: each a module with a function `run(settings, record, ends)`."""
