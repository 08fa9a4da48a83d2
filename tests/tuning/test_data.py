from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from bentsao.core.errors import ConfigError, DataError
from bentsao.core.grounding import PARTS
from bentsao.tuning.data import gather
from bentsao.tuning.recipe import RECIPES, DataPart, find_recipe, load_recipe


def write(path: Path, pairs: list[tuple[str, str]]) -> str:
    rows = [{"instruction": question, "output": answer} for question, answer in pairs]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return str(path)


def test_validation_is_held_out_by_name_and_copies_are_taken_out(tmp_path: Path) -> None:
    diseases = [f"{a}{b}病" for a in "甲乙丙丁戊己庚辛" for b in "心肝脾肺肾"]
    own = write(tmp_path / "a.jsonl", [(f"{name}{q}", "答") for name in diseases for q in ("怎么治？", "挂什么科？")])
    names = tmp_path / "names.txt"
    names.write_text("\n".join(diseases), encoding="utf-8")
    material = gather(DataPart(files=(own,), validation=0.2, names=str(names)), seed=1)
    held = {c.group for c in material.valid}
    assert 12 <= len(material.valid) <= 20
    assert not any(name in c.messages[0].content for name in held for c in material.train)
    assert len(material.train) + len(material.valid) == 80


def test_entities_of_a_validation_file_are_kept_out_of_training_too(tmp_path: Path) -> None:
    own = write(tmp_path / "a.jsonl", [("甲病怎么治？", "答"), ("乙病怎么治？", "答")])
    valid = write(tmp_path / "v.jsonl", [("甲病挂什么科？", "答")])
    names = tmp_path / "names.txt"
    names.write_text("甲病\n乙病", encoding="utf-8")
    material = gather(DataPart(files=(own,), validation_file=valid, names=str(names)), seed=1)
    assert [c.messages[0].content for c in material.train] == ["乙病怎么治？"]
    assert [c.group for c in material.valid] == ["甲病"]


def test_validation_is_small_where_nobody_asked_for_more(tmp_path: Path) -> None:
    own = write(tmp_path / "a.jsonl", [(f"问{n}", "答") for n in range(5000)])
    few = write(tmp_path / "b.jsonl", [(f"问{n}", "答") for n in range(100)])
    material = gather(DataPart(files=(own,)), seed=1)
    assert len(material.valid) == 200
    assert any("留出 200 条验证" in note for note in material.notes)
    assert len(gather(DataPart(files=(own,), validation=0.05), seed=1).valid) == 250
    assert len(gather(DataPart(files=(few,)), seed=1).valid) == 5


def test_mixed_in_data_has_its_share_and_is_not_validated_on(tmp_path: Path) -> None:
    own = write(tmp_path / "a.jsonl", [(f"问{n}", "答") for n in range(80)])
    general = write(tmp_path / "g.jsonl", [(f"闲{n}", "谈") for n in range(50)])
    material = gather(DataPart(files=(own,), mix=(f"{general}:0.2",), validation=0), seed=1)
    assert len(material.train) == 100
    assert sum(c.messages[1].content == "谈" for c in material.train) == 20
    assert not material.valid


def test_what_is_mixed_in_is_kept_off_what_is_held_out(tmp_path: Path) -> None:
    own = write(tmp_path / "a.jsonl", [(f"问{n}", "答") for n in range(40)])
    material = gather(DataPart(files=(own,), mix=(f"{own}:0.5",), validation=0.25), seed=1)
    held = {c.messages[0].content for c in material.valid}
    train = {c.messages[0].content for c in material.train}
    assert train
    assert not held & train


def test_faults_of_all_files_come_together(tmp_path: Path) -> None:
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    one.write_text("{", encoding="utf-8")
    two.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError) as error:
        gather(DataPart(files=(str(one), str(two))), seed=1)
    assert [Path(fault.file).name for fault in error.value.faults] == ["1.jsonl", "2.jsonl"]


def test_a_question_asked_in_training_is_not_validated_on(tmp_path: Path) -> None:
    train = write(tmp_path / "a.jsonl", [("问 一", "答"), ("问二", "答")])
    valid = write(tmp_path / "v.jsonl", [("问一", "答"), ("问三", "答")])
    material = gather(DataPart(files=(train,), validation_file=valid), seed=1)
    assert [c.messages[0].content for c in material.valid] == ["问三"]


def test_too_much_validation_is_an_error(tmp_path: Path) -> None:
    own = write(tmp_path / "a.jsonl", [("问", "答")])
    with pytest.raises(ConfigError, match="validation=500"):
        gather(DataPart(files=(own,), validation=500), seed=1)
    with pytest.raises(ConfigError, match="没有训练数据"):
        gather(DataPart(), seed=1)


@pytest.mark.parametrize("name", ["default", "default.toml", "recipes/default.toml"])
def test_a_recipe_of_the_package_is_found_by_name(name: str) -> None:
    assert find_recipe(Path(name)) == RECIPES / "default.toml"


@pytest.mark.parametrize("name", ["nowhere/recipes/default.toml", "default.yaml", "other/default.toml"])
def test_a_path_that_is_not_there_is_no_recipe_of_the_package(name: str) -> None:
    with pytest.raises(ConfigError, match="没有配方"):
        find_recipe(Path(name))


def test_recipes_report_every_wrong_key_and_value(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[lora]\nrank = 0\nrnak = 8\n[training]\nschedule = "wavy"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_recipe(path, {"data.mix": ["g.jsonl"]})
    text = str(error.value)
    assert "4 处错误" in text
    for part in ("lora.rank = 0", "lora.rnak", "没有这个字段", "training.schedule", "FILE:SHARE"):
        assert part in text
    assert load_recipe(None, {"lora.rank": 4}).lora.rank == 4
    with pytest.raises(ValidationError):
        load_recipe(None, {}).lora.rank = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_the_weights_of_the_parts(tmp_path: Path) -> None:
    assert set(load_recipe(None, {}).training.part_weights.values()) == {1.0}
    path = tmp_path / "r.toml"
    path.write_text("[training]\npart_weights = { entity = 2.0, instruction = 0 }\n", encoding="utf-8")
    recipe = load_recipe(path, {"training.part_weights.answer": 0.5})
    assert recipe.training.part_weights == {"instruction": 0.0, "entity": 2.0, "attribute": 1.0, "answer": 0.5}


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"entitty": 1.0}, "没有名为 entitty 的部分。可用：instruction、entity、attribute、answer"),
        ({"entity": -0.5}, "不小于 0 的数，这里有 entity = -0.5"),
        ({"entity": float("nan")}, "entity = nan"),
        ({"answer": float("inf")}, "answer = inf"),
        (dict.fromkeys(PARTS, 0), "不能全是 0"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights: dict[str, float], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as error:
        load_recipe(None, {"training.part_weights": weights})
    assert "Value error" not in str(error.value)
