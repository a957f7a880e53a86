"""What `neuralmd compare` takes for trained already: a run of that name with the same settings, and no other."""

from __future__ import annotations

from pathlib import Path

from conftest import CONFIG


def test_a_training_with_other_settings_is_not_taken_for_the_wanted_one(workplace: Path, neuralmd) -> None:
    short = ("--strides", "5")
    text = CONFIG.replace("max_steps: 300", "max_steps: 5").replace("name: water", "name: wide")
    (workplace / "wide.yaml").write_text(text)
    (workplace / "narrow.yaml").write_text(text.replace("name: wide", "name: narrow"))
    neuralmd("compare", "wide.yaml", *short)
    model = workplace / "runs" / "wide-5steps-seed0" / "model.pt"
    before = model.stat().st_mtime_ns
    told = neuralmd("compare", "narrow.yaml", "wide.yaml", "model.field.channels=6", *short, code=2).stderr
    assert "runs/wide-5steps-seed0: holds a training with other settings" in told
    assert "model.field.channels (8 -> 6); put them back, give another run.name, or run.root=FOLDER" in told
    assert not (workplace / "runs" / "narrow-5steps-seed0").exists(), "refused before anything is trained"
    for new, name in (("purge: 30", "data.purge (20 -> 30)"), ("batch_size: 4", "batch_size (8 -> 4)")):
        key = new.partition(":")[0]
        old = next(word for word in ("purge: 20", "batch_size: 8") if word.startswith(key))
        (workplace / "wide.yaml").write_text(text.replace(old, new))
        assert name in neuralmd("compare", "wide.yaml", *short, code=2).stderr
    (workplace / "wide.yaml").write_text(text)
    neuralmd("compare", "wide.yaml", "device=auto", "tracking.project=mine", *short)
    assert model.stat().st_mtime_ns == before
    neuralmd("compare", "wide.yaml", "model.field.channels=6", "run.root=elsewhere", *short)
    assert (workplace / "elsewhere" / "wide-5steps-seed0" / "model.pt").exists()
