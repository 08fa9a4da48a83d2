"""Control of repetition within the answer, as a logits processor of vLLM; its own penalty counts the prompt too.

vLLM imports this by name, in its own processes. Where vLLM is not installed, nothing can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor  # pyright: ignore[reportMissingImports]

from bentsao.inference.decoding import Decoding
from bentsao.inference.engines.transformers_engine import repetition_control
from bentsao.inference.engines.vllm_engine import CONTROL

Control = Callable[[Sequence[int], Tensor], Tensor]
"""The ids of the answer so far and the logits of the next token, [words] → the logits as they shall count."""


class RepetitionControl(AdapterLogitsProcessor):  # pyright: ignore[reportUntypedBaseClass]
    """Gives each request the control that its extra arguments ask for, in the reference's own words."""

    def is_argmax_invariant(self) -> bool:
        """Asked by vLLM: what is penalised may not be the likeliest any more."""
        return False

    def new_req_logits_processor(self, params: Any) -> Control | None:
        """Called by vLLM for each request, with its SamplingParams."""
        settings = (params.extra_args or {}).get(CONTROL)
        if settings is None:
            return None
        processors = repetition_control(Decoding(**settings), 0)

        def control(ids: Sequence[int], logits: Tensor) -> Tensor:
            if not ids:
                return logits
            said = torch.tensor([list(ids)], device=logits.device)
            return processors(cast(Any, said), cast(Any, logits[None]))[0]

        return control
