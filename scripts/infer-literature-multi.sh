#!/usr/bin/env bash
# 文献模型，多轮对话（原项目同名脚本；轮数不限）。
set -euo pipefail
exec bentsao chat \
    --lora_weights "${LORA:-./lora-llama-med-literature}" \
    --use_lora True \
    --prompt_template literature_template \
    "$@"
