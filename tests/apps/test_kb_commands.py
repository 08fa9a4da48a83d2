"""`bentsao kb`: every command run as a person runs it, with what it prints, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bentsao.apps.commands.kb import app
from bentsao.core.errors import BentsaoError, ConfigError, DataError, MissingError
from bentsao.core.files import read_text
from bentsao.knowledge.store import KnowledgeBase
from tests.knowledge.bases import entity, put

Run = Callable[..., str]

COMMANDS = ("import", "remove", "stats", "show", "search", "link", "check", "diff", "export", "graph")

DISEASES = """\
{"中心词": "感冒", "类别": "疾病", "俗名": ["伤风"], "临床症状及体征": ["鼻塞", "发热"], "传染性": ["有传染性"], \
"药物治疗": ["对乙酰氨基酚", {"值": "布洛芬混悬液", "限定": "儿童"}], "所属科室": ["呼吸内科"], "星座": ["白羊座"]}
{"中心词": "流行性感冒", "类别": "疾病", "同义词": ["流感"], "临床症状及体征": ["高热"], "所属科室": ["感染科"]}
{"中心词": "发热", "类别": "症状", "俗名": ["发烧"], "相关疾病": ["感冒"]}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from or written to the user's cache; the terminal is wide."""
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `bentsao kb …` and returns what it prints; errors are raised as the lead command would get them."""

    def call(*tokens: str | Path, status: int | None = None) -> str:
        assert app([str(token) for token in tokens], result_action="return_value") == status
        return capsys.readouterr().out

    return call


def test_a_first_import_that_fails_leaves_no_knowledge_base(tmp_path: Path, run: Run) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(DISEASES + "{", encoding="utf-8")
    with pytest.raises(BentsaoError):
        run("import", bad, "--kb", tmp_path / "new.kb", "--reader", "cmekg")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["bad.jsonl"]


@pytest.fixture
def kb(tmp_path: Path, run: Run) -> Path:
    file = tmp_path / "疾病.jsonl"
    file.write_text(DISEASES, encoding="utf-8")
    run("import", file, "--kb", tmp_path / "kb.sqlite", "--licence", "测试用")
    return tmp_path / "kb.sqlite"


def as_json(text: str) -> Any:
    return json.loads(text)


# --- import, remove, stats -------------------------------------------------------------------------------------------


def test_import_tells_what_came_in_and_what_did_not(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "疾病.jsonl"
    file.write_text(DISEASES, encoding="utf-8")
    shown = run("import", file, "--kb", tmp_path / "kb.sqlite")
    assert "疾病.jsonl → 来源“疾病”（cmekg）：3 个实体，3 个别名，9 条事实，0 篇文献" in shown
    assert "没有导入的 1 项" in shown
    assert "没有对应的属性：星座" in shown
    assert "白羊座" in shown
    (report,) = as_json(run("import", file, "--kb", tmp_path / "other.sqlite", "--source", "甲", "--json"))
    assert (report["source"], report["entities"], report["facts"]) == ("甲", 3, 9)
    assert report["skipped"] == {"没有对应的属性：星座": 1}
    assert report["examples"] == {"没有对应的属性：星座": ["白羊座"]}


def test_the_same_file_with_other_columns_is_read_again(tmp_path: Path, run: Run) -> None:
    file, kb = tmp_path / "表.csv", tmp_path / "own.kb"
    file.write_text("病种,主诉\n腕管综合征,手麻\n", encoding="utf-8")
    assert "没有对应的属性：主诉" in run("import", file, "--kb", kb, "--columns", "名称=病种")
    assert "1 条事实" in run("import", file, "--kb", kb, "--columns", "名称=病种,症状=主诉")
    assert "手麻" in run("show", "腕管综合征", "--kb", kb)


def test_the_same_file_with_another_reader_is_read_again(tmp_path: Path, run: Run) -> None:
    file, kb = tmp_path / "表.csv", tmp_path / "own.kb"
    file.write_text("name,symptom,period\n腕管综合征,手麻,3周\n", encoding="utf-8")
    assert "（table）" in run("import", file, "--kb", kb)
    assert "（disease_csv）" in run("import", file, "--kb", kb, "--reader", "disease_csv")


def test_the_same_file_again_changes_nothing_and_a_new_one_replaces_it(kb: Path, run: Run) -> None:
    file = kb.parent / "疾病.jsonl"
    assert "没有重新导入" in run("import", file, "--kb", kb, "--licence", "测试用")
    assert "替换了这个来源原来的内容" in run("import", file, "--kb", kb, "--licence", "测试用", "--again")
    file.write_text('{"中心词": "麻疹", "临床症状及体征": ["皮疹"]}', encoding="utf-8")
    assert "替换了这个来源原来的内容" in run("import", file, "--kb", kb)
    with KnowledgeBase.open(kb) as opened:
        assert [name for name, *_ in opened.names()] == ["麻疹"]


def test_triples_are_read_by_their_columns(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "表.csv"
    file.write_text("病名,关系,内容\n麻疹,典型症状,皮疹\n", encoding="gb18030")
    columns = "subject=病名,attribute=关系,value=内容"
    run("import", file, "--kb", tmp_path / "kb.sqlite", "--columns", columns)
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as opened:
        assert opened.facts("麻疹", "临床症状及体征")[0].values == ("皮疹",)


def test_several_files_of_one_source_stay_apart(kb: Path, run: Run) -> None:
    other = kb.parent / "另一个.jsonl"
    other.write_text('{"中心词": "麻疹"}', encoding="utf-8")
    run("import", kb.parent / "疾病.jsonl", other, "--kb", kb, "--source", "某库")
    with KnowledgeBase.open(kb) as opened:
        assert [one.name for one in opened.sources()] == ["疾病", "某库/疾病.jsonl", "某库/另一个.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["无此文件.csv"], MissingError, "无此文件.csv"),
        (["疾病.jsonl", "--reader", "excel"], ConfigError, "'excel'。可用：cmekg"),
        (["疾病.jsonl", "--columns", "subject"], ConfigError, "'subject' 应写作 角色=列名"),
        (["疾病.jsonl", "--columns", "subject=a,subject=b"], ConfigError, "subject 给了两次"),
        (["疾病.jsonl", "--columns", "病名=a"], DataError, "只用于表格"),
        (["表.csv", "--columns", "病名=a"], ConfigError, "不认识 病名"),
        (["表.csv", "--columns", "名称=病种,症状=病种"], ConfigError, "病种”这一列用了两次"),
        (["疾病.jsonl", "--columns", "subject=a", "--reader", "cmekg"], ConfigError, "只用于 table 与 triples"),
        (["疾病.jsonl", "别处/疾病.jsonl"], ConfigError, "都叫 疾病"),
        (["别处"], MissingError, "别处 是一个目录"),
        (["疾病.jsonl", "乱.txt"], DataError, "认不出这个文件的格式"),
        (["套.json"], DataError, "摊平成 CSV"),
    ],
)
def test_what_cannot_be_imported_is_told_and_nothing_is_written(
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    *,
    arguments: list[str],
    error: type[Exception],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("别处").mkdir()
    for name in ("疾病.jsonl", "别处/疾病.jsonl"):
        Path(name).write_text(DISEASES, encoding="utf-8")
    Path("乱.txt").write_text("只有一句话", encoding="utf-8")
    Path("套.json").write_text('{"diseases": [{"疾病": {"名称": "头痛"}}]}', encoding="utf-8")
    Path("表.csv").write_text("病种,症状\n偏头痛,头痛", encoding="utf-8")
    with pytest.raises(error, match=says):
        run("import", *arguments, "--kb", "kb.sqlite")
    if Path("kb.sqlite").exists():
        assert as_json(run("stats", "--kb", "kb.sqlite", "--json"))["entities"] == {}


def test_what_was_imported_before_an_error_is_told(kb: Path, capsys: pytest.CaptureFixture[str], run: Run) -> None:
    good, bad = kb.parent / "好.jsonl", kb.parent / "坏.jsonl"
    good.write_text('{"中心词": "麻疹"}', encoding="utf-8")
    bad.write_text('{"中心词": "水痘"}\n{"中心词": 3}', encoding="utf-8")
    with pytest.raises(DataError, match=r"坏\.jsonl:2"):
        run("import", good, bad, "--kb", kb, "--json")
    assert [report["source"] for report in as_json(capsys.readouterr().out)] == ["好"]
    with KnowledgeBase.open(kb) as opened:
        assert opened.entity("麻疹")
        assert not opened.entity("水痘")


def test_remove_takes_a_source_away(kb: Path, run: Run) -> None:
    with pytest.raises(BentsaoError, match="已有的来源：疾病"):
        run("remove", "无此来源", "--kb", kb)
    assert "已从" in run("remove", "疾病", "--kb", kb)
    assert as_json(run("stats", "--kb", kb, "--json"))["entities"] == {}


def test_stats_count(kb: Path, run: Run) -> None:
    counts = as_json(run("stats", "--kb", kb, "--json"))
    assert counts["entities"] == {"disease": 2, "symptom": 1}
    assert (counts["aliases"], counts["facts"]) == (3, 9)
    shown = run("stats", "--kb", kb)
    for text in ("3 个实体，3 个别名，9 条事实", "疾病.jsonl", "测试用", "临床症状及体征"):
        assert text in shown


# --- show, search, link ----------------------------------------------------------------------------------------------


def test_show_prints_a_card_with_sources(kb: Path, run: Run) -> None:
    shown = run("show", "伤风", "--kb", kb)
    for text in (
        "感冒（疾病）",
        "伤风",
        "鼻塞、发热 [1]",
        "布洛芬混悬液（儿童） [1]",
        "← 相关疾病",
        "[1] 疾病 疾病.jsonl:1（测试用）",
    ):
        assert text in shown
    (entity,) = as_json(run("show", "发热", "--kb", kb, "--json"))["entities"]
    assert (entity["name"], entity["kind"]) == ("发热", "symptom")
    assert entity["aliases"] == [{"text": "发烧", "type": "colloquial"}]
    assert entity["facts"][0]["source"] == {"name": "疾病", "file": "疾病.jsonl", "row": 3, "licence": "测试用"}
    assert entity["pointing"] == {"临床症状及体征": ["感冒"]}


def test_show_of_one_attribute_by_any_of_its_names(kb: Path, run: Run) -> None:
    (entity,) = as_json(run("show", "感冒", "--attribute", "挂号科室", "--kb", kb, "--json"))["entities"]
    assert [fact["values"] for fact in entity["facts"]] == [["呼吸内科"]]
    with pytest.raises(BentsaoError, match="没有属性“手术治疗”。它有：临床症状及体征、"):
        run("show", "感冒", "--attribute", "手术治疗", "--kb", kb)


def test_nothing_of_a_card_is_cut(kb: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown = run("show", "感冒", "--kb", kb)
    letters = {letter for letter in shown if letter.isalpha()}
    assert letters >= set("对乙酰氨基酚布洛芬混悬液儿童呼吸内科")
    assert "…" not in shown


def test_an_unknown_entity_is_told_with_what_there_is(kb: Path, run: Run) -> None:
    for command in (["show", "重感冒"], ["graph", "重感冒", "--out", kb.parent / "x.svg"]):
        with pytest.raises(BentsaoError, match="没有名为“重感冒”的实体。名称相近的有：感冒"):
            run(*command, "--kb", kb)
    with pytest.raises(BentsaoError, match=r"它是这些属性的值：临床症状及体征（1 个实体）"):
        run("show", "鼻塞", "--kb", kb)


def test_search_finds_entities_and_facts(kb: Path, run: Run) -> None:
    hits = as_json(run("search", "感冒", "--kb", kb, "--json", "--limit", "2"))["hits"]
    assert len(hits) == 2
    assert hits[0]["entity"]["name"] == "感冒"
    assert "临床症状及体征：鼻塞" in run("search", "鼻塞", "--kb", kb)
    assert "没有找到" in run("search", "量子力学", "--kb", kb)
    with pytest.raises(ConfigError, match="--limit 0"):
        run("search", "感冒", "--limit", "0", "--kb", kb)


def test_link_prints_the_form_that_programs_rely_on(kb: Path, run: Run) -> None:
    linked = as_json(run("link", "感冒了要挂什么科", "--kb", kb, "--json"))
    assert list(linked) == ["entities", "attributes", "facts"]
    (entity,) = linked["entities"]
    assert list(entity) == ["name", "kind", "surface", "start", "end", "score", "match"]
    assert [entity[key] for key in ("name", "kind", "surface", "start", "end")] == ["感冒", "disease", "感冒", 0, 2]
    assert [attribute["name"] for attribute in linked["attributes"]] == ["所属科室"]
    assert linked["facts"] == [
        {
            "subject": "感冒",
            "attribute": "所属科室",
            "values": ["呼吸内科"],
            "source": {"name": "疾病", "file": "疾病.jsonl", "row": 1, "licence": "测试用"},
        }
    ]


def test_link_answers_what_is_there_in_its_sides_only(kb: Path, run: Run) -> None:
    linked = as_json(run("link", "感冒怎么治", "--kb", kb, "--json"))
    assert [attribute["name"] for attribute in linked["attributes"]] == ["治疗方案"]
    assert {fact["attribute"] for fact in linked["facts"]} == {"药物治疗"}


def test_link_keeps_the_condition_of_a_fact(kb: Path, run: Run) -> None:
    facts = as_json(run("link", "感冒吃什么药", "--kb", kb, "--json"))["facts"]
    assert [(fact["values"], fact.get("qualifier")) for fact in facts] == [
        (["对乙酰氨基酚"], None),
        (["布洛芬混悬液"], "儿童"),
    ]


def test_link_follows_the_history_and_shows_people_its_reasons(kb: Path, run: Run) -> None:
    shown = run("link", "那要挂什么科？", "--history", "流感有什么症状", "--kb", kb)
    for text in ("流行性感冒", "上文", "属性：所属科室", "感染科 [1]"):
        assert text in shown
    assert "没有认出知识库里的实体" in run("link", "今天天气如何", "--kb", kb)
    assert as_json(run("link", "今天天气如何", "--kb", kb, "--json"))["entities"] == []


# --- check, diff, export, graph --------------------------------------------------------------------------------------


def test_check_lists_problems_and_fails_only_if_asked(kb: Path, run: Run) -> None:
    shown = run("check", "--kb", kb, status=0)
    assert "悬空的值（没有对应的实体）：6 处" in shown
    assert "相互矛盾的事实：0 处" in shown
    found = as_json(run("check", "--kb", kb, "--rule", "dangling", "--json", "--strict", status=1))
    assert found["counts"] == {"dangling": 6}
    assert {problem["subject"] for problem in found["problems"]} == {"感冒", "流行性感冒"}
    run("check", "--kb", kb, "--rule", "dose", "--strict", status=0)
    assert "其余 5 处从略" in run("check", "--kb", kb, "--limit", "1", status=0)
    with pytest.raises(ConfigError, match="没有检查项 spelling。可用：contradiction、"):
        run("check", "--kb", kb, "--rule", "spelling")


def test_diff_shows_what_changed(kb: Path, run: Run, tmp_path: Path) -> None:
    assert "内容相同" in run("diff", kb, kb)
    file = tmp_path / "新.jsonl"
    file.write_text(DISEASES.replace("高热", "寒战").replace("呼吸内科", "全科"), encoding="utf-8")
    run("import", file, "--kb", tmp_path / "new.sqlite")
    found = as_json(run("diff", kb, tmp_path / "new.sqlite", "--json"))
    assert found["counts"] == {"fact.changed": 2}
    assert [(c["subject"], c["before"], c["after"]) for c in found["changes"]] == [
        ("感冒", ["呼吸内科"], ["全科"]),
        ("流行性感冒", ["高热"], ["寒战"]),
    ]
    shown = run("diff", kb, tmp_path / "new.sqlite")
    assert "+ 全科" in shown
    assert "− 呼吸内科" in shown
    assert "其余 1 处从略" in run("diff", kb, tmp_path / "new.sqlite", "--limit", "1")


def test_export_takes_the_form_from_the_name(kb: Path, run: Run, tmp_path: Path) -> None:
    for name, form in (("kb.jsonl", "jsonl"), ("kb.csv", "csv"), ("neo", "neo4j")):
        done = as_json(run("export", "--kb", kb, "--out", tmp_path / name, "--json"))
        assert (done["form"], done["entities"], done["facts"]) == (form, 3, 9)
    assert "neo4j-admin database import full" in run("export", "--kb", kb, "--out", tmp_path / "neo")
    run("export", "--kb", kb, "--out", tmp_path / "lit.txt", "--format", "literature")
    with pytest.raises(ConfigError, match="看不出格式"):
        run("export", "--kb", kb, "--out", tmp_path / "kb.xlsx")


def test_graph_draws_svg_and_html(kb: Path, run: Run, tmp_path: Path) -> None:
    assert "已写入" in run("graph", "感冒", "--out", tmp_path / "x.svg", "--kb", kb)
    assert "布洛芬混悬液" in read_text(tmp_path / "x.svg")
    drawn = as_json(run("graph", "感冒", "--out", tmp_path / "x.html", "--values", "1", "--kb", kb, "--json"))
    assert drawn["branches"][0] == {
        "attribute": "临床症状及体征",
        "incoming": False,
        "values": ["鼻塞"],
        "left_out": 1,
    }
    assert "呼吸内科" in read_text(tmp_path / "x.html")
    with pytest.raises(ConfigError, match="扩展名应是"):
        run("graph", "感冒", "--out", tmp_path / "x.png", "--kb", kb)


# --- all of them -----------------------------------------------------------------------------------------------------


def test_without_a_knowledge_base_the_sample_is_used(run: Run) -> None:
    (entity,) = as_json(run("show", "偏头痛", "--json"))["entities"]
    assert entity["facts"]
    assert all("未经临床审核" in fact["source"]["licence"] for fact in entity["facts"])


def test_a_file_that_is_no_knowledge_base_is_told(kb: Path, run: Run) -> None:
    with pytest.raises(BentsaoError, match="不是本草知识库"):
        run("stats", "--kb", kb.parent / "疾病.jsonl")
    with pytest.raises(MissingError, match="找不到知识库"):
        run("stats", "--kb", kb.parent / "无.sqlite")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, run: Run) -> None:
    assert f"bentsao kb {command}" in run(command, "--help")


def test_every_command_is_tested_for_its_help(run: Run) -> None:
    shown = run("--help")
    assert all(command in shown for command in COMMANDS)
    assert {name for name in app if not name.startswith("-")} == set(COMMANDS)


def test_contents_cannot_rewrite_the_terminal(kb: Path, run: Run) -> None:
    put(kb, "乙", entity("感冒\x1b[2J", ("病因", "[bold]\x1b[2J病毒[/]", "\x1b[31m"), also=["伤风\x1b[2J"]))
    commands = (
        ["show", "感冒\x1b[2J"],
        ["search", "感冒"],
        ["check"],
        ["link", "感冒的病因"],
        ["graph", "感冒\x1b[2J", "--out", kb.parent / "x.svg"],
    )
    for command in commands:
        assert "\x1b" not in run(*command, "--kb", kb, **({"status": 0} if command == ["check"] else {}))
    assert "[bold]�[2J病毒[/]（�[31m）" in run("show", "感冒\x1b[2J", "--kb", kb)
    assert "\x1b" not in run("stats", "--kb", kb)
    assert "\x1b" not in read_text(kb.parent / "x.svg")
