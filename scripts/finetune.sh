#!/usr/bin/env bash
# 微调（原项目同名脚本）。BASE、DATA、OUTPUT 可用环境变量改，其余参数照常写在后面。
set -euo pipefail
exec bentsao finetune \
    --base_model "${BASE:-embedded}" \
    --data_path "${DATA:-./data/llama_data.json}" \
    --output_dir "${OUTPUT:-./lora-llama-med-e1}" \
    --prompt_template_name med_template \
    "$@"
