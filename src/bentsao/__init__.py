"""BenTsao (本草): from medical knowledge to a Chinese medical language model that can be trusted."""

import os

__version__ = "0.1.0"

NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",  # transformers and trl report through huggingface_hub
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "WANDB_ERROR_REPORTING": "false",
}
"""Keeps libraries from telling their makers how they are used. They ask when they are imported, so this comes first."""

os.environ.update(NO_TELEMETRY)
