"""What all tests share: run-time checks of jaxtyping's annotations, one thread, and the real trajectories."""

from __future__ import annotations

from pathlib import Path

from jaxtyping import install_import_hook

# Before anything imports neuralmd: only modules imported after it are checked.
install_import_hook("neuralmd", "runtime_types.check")

import pytest  # noqa: E402
import torch  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real trajectories beside the checkout; a test that asks for it is skipped where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real trajectories are not in {folder}")
    return folder
