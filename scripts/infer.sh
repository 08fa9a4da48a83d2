#!/usr/bin/env bash
# 用微调后的模型回答一个文件里的问题（原项目同名脚本）。
set -euo pipefail
exec bentsao infer \
    --lora_weights "${LORA:-./lora-llama-med-e1}" \
    --use_lora True \
    --instruct_dir "${QUESTIONS:-./data/infer.json}" \
    "$@"
