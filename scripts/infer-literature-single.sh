#!/usr/bin/env bash
# 文献模型，逐个问题（原项目同名脚本）。
set -euo pipefail
exec bentsao infer \
    --lora_weights "${LORA:-./lora-llama-med-literature}" \
    --use_lora True \
    --prompt_template literature_template \
    "$@"
