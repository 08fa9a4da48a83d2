#!/usr/bin/env bash
# 同样的问题问基座与微调后的模型，并排显示（原项目同名脚本）。
set -euo pipefail
exec bentsao infer \
    --lora_weights "${LORA:-./lora-llama-med-e1}" \
    --instruct_dir "${QUESTIONS:-./data/infer.json}" \
    --with-base \
    "$@"
