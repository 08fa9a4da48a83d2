"""A folder with the files that the commands in the documentation name, small and our own, in the forms of the real."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bentsao.core.files import write_jsonl
from bentsao.models.shipped import adapter_folder

COLUMNS = (
    "name,alias,part,age,infection,insurance,department,checklist,symptom,complication,treatment,drug,period,rate,money"
)
DISEASES = {
    "腱鞘囊肿": "腱鞘肿块,手腕,青少年,无传染性,医保疾病,骨科,超声检查 [详细],手腕肿块 [详细],关节僵硬,手术治疗 [详细],"
    "布洛芬胶囊 [详细],1-2周,95%,2000元",
    "沙眼": "颗粒性结膜炎,眼,所有人群,有传染性,医保疾病,眼科,结膜刮片 [详细],眼痒 流泪 [详细],倒睫,药物治疗 [详细],"
    "红霉素眼膏 利福平滴眼液 [详细],2-3月,90%,500元",
    "痛风": "高尿酸性关节炎,关节,中年男性,无传染性,医保疾病,风湿免疫科,血尿酸 [详细],关节红肿 夜间剧痛 [详细],肾结石,"
    "药物治疗 [详细],秋水仙碱片 别嘌醇片 [详细],1-2周,80%,1000元",
}
DRUG = """\
利可君
药品类型:血液系统药物，促进白细胞增生药
别名:利血生
适应证:用于防治白细胞减少、再生障碍性贫血。
用法用量:口服给药：1.成人：每次10～20mg，每天3次。"""
TABLE = "病种,主诉,首选用药\n腕管综合征,拇指麻木；夜间手麻,甲钴胺\n足底筋膜炎,晨起足跟痛,布洛芬\n"
KNOWN_TABLE = "疾病,症状,科室\n面神经炎,口角歪斜；闭眼不全,神经内科\n"
QUESTIONS = ("痛风有哪些症状？", "沙眼会传染吗？", "腱鞘囊肿挂什么科？", "小孩发烧怎么办？")

ADAPTERS = {"README.md": ("runs/kt", "DIR"), "bases.md": ("A", "B", "DIR_OR_ID"), "grounded.md": ("runs/my",)}
"""What is an adapter on a page; A and B are files of data on others."""


def fill(folder: Path, page: str) -> None:
    """Write them for a page. What the documentation's own commands make (data/qa, my.kb …) is left to these."""
    rows = [f"{name},{rest}" for name, rest in DISEASES.items()]
    (folder / "disease.csv").write_bytes("\n".join([COLUMNS, *rows, ""]).encode("gb18030"))
    (folder / "drug.json").write_text(json.dumps([DRUG], ensure_ascii=False), encoding="utf-8")
    triple = {"predicate": "影像学检查", "subject": "痛风", "subject_type": "疾病", "Combined": False}
    triple |= {"object": {"@value": "双能CT"}, "object_type": {"@value": "检查"}}
    write_jsonl(folder / "cmeie_dev.jsonl", [{"text": "痛风@可用双能CT。", "spo_list": [triple]}])
    (folder / "疾病表.csv").write_text(KNOWN_TABLE, encoding="utf-8")
    (folder / "科室的表.csv").write_text(TABLE, encoding="utf-8")
    asked = [{"instruction": text, "input": "", "output": f"关于“{text}”，请到医院检查后再定。"} for text in QUESTIONS]
    for name in ("llama_data.json", "B", "FILE"):
        write_jsonl(folder / name, asked)
    for name in ("infer.json", "A"):
        write_jsonl(folder / name, asked[:2])
    for name in ("base", "tuned"):
        answers = [{"id": str(n), "question": text, "text": f"{name}：多休息。"} for n, text in enumerate(QUESTIONS)]
        write_jsonl(folder / f"{name}.jsonl", answers)
    for name in ADAPTERS.get(page, ()):
        (folder / name).unlink(missing_ok=True)
        shutil.copytree(adapter_folder("shipped"), folder / name)
