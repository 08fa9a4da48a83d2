#!/usr/bin/env bash
# Makes the adapter that ships with the project (src/bentsao/models/shipped) from the sample knowledge base, on a CPU.
#   scripts/ship_adapter.sh WORK_FOLDER
# The weights in the repository were made in these two rounds (189 and 60 steps of 16 rows; about an hour on two cores),
# the first with the patterns of commit 0636e1f, the second with those of 9200f34, which also brought invented entities.
set -euo pipefail
work=${1:?folder for data and runs}
mkdir -p "$work"

# 1. Entity, attribute and cited answer, with plain instructions among them.
bentsao build grounded --rows 2900 --no-filters --out "$work/grounded"
bentsao build qa --rows 450 --no-filters --out "$work/qa"
head -120 "$work/grounded/valid.jsonl" > "$work/valid.jsonl"
bentsao finetune --data "$work/grounded/train.jsonl" --data "$work/qa/train.jsonl" -o "$work/first" \
  --set data.validation_file="$work/valid.jsonl" --set training.epochs=1

# 2. From there, rows that the first round has not seen: a good third about invented entities, premises and comparisons.
bentsao build grounded --rows 6000 --no-filters --out "$work/more"
python - "$work" <<'PYTHON'
import json, random, sys
from collections import defaultdict
from pathlib import Path

work = Path(sys.argv[1])
read = lambda path: [json.loads(line) for line in path.open(encoding="utf-8")]
seen = {row["made"]["asked"]["question"] for row in read(work / "grounded" / "train.jsonl")}
wanted = {
    "invented": 380, "premise_true": 70, "premise_false": 80, "compare": 50, "several": 50, "follow_up": 60,
    "vignette": 50, "drug_true": 25, "drug_false": 25, "lay": 60, "clinician": 20, "exam": 15, "turn": 15, "triage": 15,
    "missing": 20, "unknown": 20, "vague": 5,
}
rng, by_form = random.Random(5), defaultdict(list)
for row in read(work / "more" / "train.jsonl"):
    if row["made"]["asked"]["question"] not in seen:
        by_form[row["made"]["form"]].append(row)
chosen = []
for form, count in wanted.items():
    rng.shuffle(by_form[form])
    chosen += by_form[form][:count]
rng.shuffle(chosen)
(work / "second.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen), "utf-8")
PYTHON
bentsao finetune --data "$work/second.jsonl" -o "$work/second" --set data.validation_file="$work/valid.jsonl" \
  --set training.epochs=1 --set training.learning_rate=0.0006 --set lora.init="$work/first"

# 3. Half precision, and what a reader of the folder needs to know.
python - "$work/second" src/bentsao/models/shipped <<'PYTHON'
import json, sys
from pathlib import Path
from shutil import copyfile
import torch
from safetensors.torch import load_file, save_file

made, shipped = map(Path, sys.argv[1:])
shipped.mkdir(parents=True, exist_ok=True)
weights = load_file(made / "adapter_model.safetensors")
save_file({name: tensor.to(torch.float16) for name, tensor in weights.items()}, shipped / "adapter_model.safetensors")
for name in ("adapter_config.json", "chat_format.json"):
    copyfile(made / name, shipped / name)
manifest = json.loads((made / "bentsao.json").read_text("utf-8"))
manifest["data"] = {Path(name).name: digest for name, digest in manifest.get("data", {}).items()}
manifest.pop("recipe", None), manifest.pop("valid_ids", None)
manifest["made_by"] = "scripts/ship_adapter.sh"
(shipped / "bentsao.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", "utf-8")
PYTHON
