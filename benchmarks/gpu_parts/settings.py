"""What all parts are told."""

import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Where and how large the parts run.

    Attributes:
        device: cuda, or cpu for a trial.
        smoke: in miniature, so that the numbers mean nothing.
        output: folder of the results.
        runs: folder of the trainings.
    """

    device: str
    smoke: bool
    output: Path
    runs: Path

    def size(self, full: int, small: int) -> int:
        """Return the first, or the second in miniature."""
        return small if self.smoke else full

    def numbers_of(self, part: str) -> Path:
        """Return the file that a part writes its numbers to as they come."""
        return self._scratch() / f"{part}.jsonl"

    def log_of(self, part: str) -> Path:
        """Return the file with what a part prints."""
        return self._scratch() / f"{part}.log"

    def kept_of(self, name: str) -> Path:
        """Return a file that a later start on this machine finds again."""
        return self._scratch() / f"{name}.json"

    def _scratch(self) -> Path:
        """Return a folder outside the output, which holds few files."""
        key = sha256(str(self.output).encode()).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"intrinsic-clip-gpu-{key}"
        folder.mkdir(exist_ok=True)
        return folder
